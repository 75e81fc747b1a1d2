import importlib.metadata, importlib.resources, inspect, pkgutil
import attr, attrs, jinja2, markupsafe

@attrs.define
class Point:
    x: int
    y: int = 2

print(Point(1), attrs.asdict(Point(1)), attr.__file__)
print(importlib.resources.files(attr).joinpath("py.typed").read_bytes())
print(len(inspect.getsource(attr.asdict)))

import click
from click.testing import CliRunner

@click.command()
@click.option("--count", default=1, help="How often.")
def hello(count):
    click.echo("hello " * count)

print(repr(CliRunner().invoke(hello, ["--count", "3"]).output))
print(repr(CliRunner().invoke(hello, ["--help"]).output))

class Packaged(jinja2.BaseLoader):
    def get_source(self, environment, template):
        return pkgutil.get_data("pkg", "data/" + template).decode(), None, lambda: True

for loader in (jinja2.PackageLoader("pkg", "data"), jinja2.FileSystemLoader("/site-packages/pkg/data")):
    environment = jinja2.Environment(loader=loader)
    print(environment.list_templates(), repr(environment.get_template("a.txt").render()))
page = jinja2.Environment(loader=Packaged(), autoescape=True).get_template("a.txt")
print(repr(page.render()), jinja2.Template("{{ a|upper }}").render(a="x"), markupsafe.escape("<"))
names = ("attrs", "click", "Jinja2")
print([importlib.metadata.version(name) for name in names])
print([len(importlib.metadata.files(name)) for name in names])
print(importlib.metadata.entry_points(group="babel.extractors"))
