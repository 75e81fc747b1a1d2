"""Runs once, when the program is compiled: what it defines is there at every start."""

import jinja2

env = jinja2.Environment(autoescape=True, trim_blocks=True)
page = env.from_string(
    """\
<h1>Hello {{ name }}</h1>
{% for item in items %}
<li>{{ loop.index }}. {{ item }}</li>
{% endfor %}
"""
)
# Rendering once imports what jinja2 imports late.
page.render(name="", items=[])
