"""The service: everything that the suite does with levels, over HTTP, and the studio's page.

`service.app.make_app` makes the application; `python -m experiments.studio` runs it.
"""
