# Every target does its own set-up on a fresh clone; see scripts/bootstrap.

TOX = .bootstrap/bin/python -m tox run
# What Qt and OpenGL need for a window, and an X server without a screen.
WINDOW = libgl1 libegl1 libfontconfig1 libglib2.0-0 libdbus-1-3 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
XVFB = xvfb

.PHONY: demo demo-gui test coverage oldest pyside6 matrix slow soak fuzz mutation lint docs \
	bench dist clean

demo:
	@scripts/bootstrap
	$(TOX) -e demo

demo-gui:
	@[ "$$(uname -s)" != Linux ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || \
		{ echo "napari-edsr: there is no display here; start it on a desktop, or use 'make demo'." >&2; exit 1; }
	@scripts/bootstrap $(WINDOW)
	$(TOX) -e demo-gui

test coverage oldest pyside6 slow soak fuzz:
	@scripts/bootstrap $(WINDOW) $(XVFB)
	$(TOX) -e $@

# The environments that tox.ini calls so, one after the other; the first failure does not
# keep the others from running.
matrix:
	@scripts/bootstrap $(WINDOW) $(XVFB)
	$(TOX) -m matrix

# pytest-qt asks for Qt, without showing any of it.
mutation:
	@scripts/bootstrap $(WINDOW)
	$(TOX) -e mutation

lint:
	@scripts/bootstrap
	$(TOX) -e lint

# The pages end up in site/; open site/index.html.
docs:
	@scripts/bootstrap
	$(TOX) -e docs

# Arguments go in ARGS, as in: make bench ARGS=--full
bench:
	@scripts/bootstrap
	$(TOX) -e bench -- $(ARGS)

dist:
	@scripts/bootstrap
	$(TOX) -e dist

clean:
	rm -rf .bootstrap .tox build dist site mutants demo-output .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
