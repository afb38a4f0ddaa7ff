"""What MkDocs calls: it adds pages of the top folder, and leads links to where things are.

Links in the pages are those of the repository, where people read them as well. On the
site some of their targets lie elsewhere, and others only in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/napari-edsr/napari-edsr"
#: Files of the top folder, and the pages they become.
TOP_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
#: Files of this folder that are no part of the site.
NOT_SHOWN = (".py", ".json")

_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_ELSEWHERE = re.compile(r"[a-z]+:|#|/", re.IGNORECASE)


def on_files(files: Files, config: MkDocsConfig, **unused: Any) -> Files:
    """Add the pages of the top folder."""
    from mkdocs.structure.files import File

    for top, name in TOP_PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / top)))
    return files


def on_page_markdown(markdown: str, page: Page, **unused: Any) -> str:
    """Lead a page's links to where their targets are on the site."""
    name = page.file.src_uri
    origins = {page: top for top, page in TOP_PAGES.items()}
    return relinked(markdown, origins.get(name, f"docs/{name}"), name)


def relinked(markdown: str, origin: str, page: str) -> str:
    """Replace the links of a file in the repository by those of a page of the site.

    Parameters
    ----------
    markdown : str
    origin : str
        Path of the file in the repository, to which its links are relative.
    page : str
        Path of the page on the site.

    Returns
    -------
    str
        What exists neither on the site nor in the repository stays as it is, so that
        MkDocs names it.
    """
    return _LINK.sub(lambda found: _link(found[0], origin, page), markdown)


def _link(link: str, origin: str, page: str) -> str:
    if _ELSEWHERE.match(link):
        return link
    path, mark, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    on_site = TOP_PAGES.get(target, target.removeprefix("docs/"))
    hidden = "/" not in on_site and on_site.endswith(NOT_SHOWN)
    if on_site != target and not hidden:
        return posixpath.relpath(on_site, posixpath.dirname(page)) + mark + anchor
    if (ROOT / target).exists():
        return f"{REPOSITORY}/blob/main/{target}{mark}{anchor}"
    return link
