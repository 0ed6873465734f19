import json

from click.testing import CliRunner

from dacn.cli import main
from dacn.recipe.recipe import schema


def test_the_schema_is_json_that_describes_the_recipe():
    result = CliRunner().invoke(main, ["schema"])
    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    assert printed == schema()
    assert printed["required"] == ["data"]
    assert printed["additionalProperties"] is False
    assert {"type": "string", "enum": ["sgd", "adamw"]} in printed["properties"]["optimizer"]["anyOf"]
