//! `panta import openapi`.

use super::Place;

const SHOP: &str = r#"
openapi: 3.0.3
info: { title: Shop API, version: "1" }
servers: [ { url: https://shop.example.com/v1 } ]
security: [ { key: [] } ]
components:
  securitySchemes: { key: { type: apiKey, in: header, name: X-Key } }
paths:
  /orders:
    get:
      operationId: listOrders
      parameters: [ { name: status, in: query, schema: { type: array, items: { type: string } } } ]
      responses: { "200": { description: ok } }
    post:
      operationId: addOrder
      requestBody: { required: true, content: { application/json: { schema: { type: object } } } }
      responses: { "201": { description: made } }
  /orders/{id}:
    delete:
      operationId: removeOrder
      parameters: [ { name: id, in: path, required: true, schema: { type: integer } } ]
      responses: { "204": { description: gone } }
"#;

const WORKFLOW: &str = r#"
import "lib/shop" as shop;
workflow(#{ allow: #{ http: ["shop.example.com"], secrets: ["shop"] } });
fn main(input) {
    shop::add_order(#{ article: 7 });
    shop::remove_order("a/b");
    shop::list_orders(#{ status: ["open", "late"] })
}
"#;

const TEST: &str = r#"
fn test_calls() {
    let t = test::workflow("w");
    t.secret("shop", "k");
    t.mock("http::request", test::response(201, #{ id: 1 }));
    t.mock("http::get", test::response(200, [1, 2]));
    t.start();
    assert_eq(t.output(), [1, 2]);
    let calls = t.calls("http::request");
    assert_eq(calls[0].args[0].url, "https://shop.example.com/v1/orders");
    assert_eq(calls[0].args[0].body, #{ article: 7 });
    assert_eq(calls[1].args[0].url, "https://shop.example.com/v1/orders/a%2Fb");
    assert_eq(calls[1].args[0].method, "DELETE");
    assert_eq(t.calls("http::get")[0].args[1].query, #{ status: ["open", "late"] });
    t.crash_everywhere();
}
fn test_refuses_unknown_options() {
    let t = test::workflow("v");
    t.start();
    assert(t.error().message.contains("`list_orders` has no option `stauts`; hint: it has `status`, `http`"));
}
"#;

fn place() -> Place {
    let wrong = "import \"lib/shop\" as shop; fn main(input) { shop::list_orders(#{ stauts: 1 }) }";
    Place::new(&[
        ("shop.yaml", SHOP),
        ("scripts/w.rhai", WORKFLOW),
        ("scripts/v.rhai", wrong),
        ("scripts/w.test.rhai", TEST),
    ])
}

#[test]
fn a_module_is_written_that_a_workflow_can_use() {
    let place = place();
    let came = place.panta(&["import", "openapi", "shop.yaml"]);
    assert_eq!((came.code, came.out.trim()), (0, "wrote scripts/lib/shop.rhai: 3 operations"), "{}", came.err);
    for part in ["import \"lib/shop\" as shop;", "panta secret set shop --for shop.example.com"] {
        assert!(came.err.contains(part), "{}", came.err);
    }
    let tested = place.panta(&["test", "scripts"]);
    assert_eq!(tested.code, 0, "{}{}", tested.out, tested.err);
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_wanted() {
    let place = place();
    place.write("scripts/lib/shop.rhai", "// mine");
    let came = place.panta(&["import", "openapi", "shop.yaml"]);
    assert_eq!(came.code, 2);
    assert!(
        came.err.contains("`scripts/lib/shop.rhai` is there already") && came.err.contains("`--force` replaces it"),
        "{}",
        came.err
    );
    assert_eq!(place.panta(&["import", "openapi", "shop.yaml", "--force", "--only", "listOrders"]).code, 0);
    assert_eq!(place.panta(&["import", "openapi", "shop.yaml", "--name", "other"]).code, 0);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let place = Place::new(&[("page.html", "<html></html>")]);
    let page = place.panta(&["import", "openapi", "page.html"]);
    assert!(page.code == 2 && page.err.contains("page.html: this is no OpenAPI description"), "{}", page.err);
    let missing = place.panta(&["import", "openapi", "missing.json"]);
    assert!(missing.code == 2 && missing.err.contains("missing.json: "), "{}", missing.err);
    let nobody = place.panta(&["import", "openapi", "http://127.0.0.1:9/openapi.json"]);
    assert!(nobody.code == 5 && nobody.err.contains("cannot be fetched"), "{}", nobody.err);
}

#[test]
fn what_is_printed_for_the_config_loads() {
    let client = r#"{ type: oauth2, flows: { password: { tokenUrl: auth, scopes: { "a:b": "" } } } }"#;
    let shop = SHOP.replace("{ type: apiKey, in: header, name: X-Key }", client);
    let place = Place::new(&[("shop.yaml", &shop), ("scripts/w.rhai", "1")]);
    let came = place.panta(&["import", "openapi", "shop.yaml", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&came.out).expect("JSON");
    place.write("panta.toml", told["settings"].as_str().expect("TOML"));
    assert_eq!(told["allow"], "allow: #{ http: [\"shop.example.com\"], secrets: [\"oauth2:shop\"] }");
    let checked = place.panta(&["check", "scripts"]);
    assert_eq!(checked.code, 0, "{}{}", told["settings"], checked.err);
    let listed = place.panta(&["connect", "--list"]);
    assert!(listed.code == 0 && listed.out.contains("shop"), "{}{}", listed.out, listed.err);
}
