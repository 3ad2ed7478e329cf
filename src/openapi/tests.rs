use serde_json::json;

use super::*;

fn made(description: &serde_json::Value) -> Module {
    let wish = Wish { source: "https://api.example.com/v1/openapi.json", ..Wish::default() };
    module(&description.to_string(), &wish, &|name| name == "sleep").expect("a module")
}

fn with(paths: &serde_json::Value) -> serde_json::Value {
    json!({
        "openapi": "3.1.0", "info": {"title": "Shop API", "version": "2"},
        "servers": [{"url": "https://{region}.example.com/v1/", "variables": {"region": {"default": "eu"}}}],
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Order": {"type": "object", "required": ["id"], "properties": {
                    "id": {"type": "integer"}, "note": {"type": ["string", "null"]}, "next": {"$ref": "#/components/schemas/Order"}}},
                "Page": {"allOf": [{"properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}}},
                    {"properties": {"next_cursor": {"type": "string"}}}]},
            },
        },
        "paths": paths,
    })
}

fn ok(schema: &str) -> serde_json::Value {
    json!({"200": {"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}}}})
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn an_operation_is_a_function_with_its_parameters_at_their_places() {
    let description = with(&json!({"/orders/{order-id}": {
        "parameters": [{"name": "order-id", "in": "path", "required": true, "schema": {"type": "string"}}],
        "put": {"operationId": "replaceOrder", "summary": "Replaces an order.", "requestBody": {"required": true, "content":
            {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
            "parameters": [{"name": "dry run", "in": "query"}, {"name": "X-Team", "in": "header", "required": true}],
            "responses": ok("Order")},
    }}));
    let found = made(&description);
    assert_eq!((found.name.as_str(), found.operations, found.remarks.len()), ("shop", 1, 0));
    assert_eq!(found.allow, "allow: #{ http: [\"eu.example.com\"], secrets: [\"shop\"] }");
    assert_eq!(found.setup, ["panta secret set shop --for eu.example.com"]);
    holds(
        &found.text,
        &[
            "const URL = config(\"shop_url\", \"https://eu.example.com/v1\");",
            "/// Replaces an order. `PUT /orders/{order-id}`.",
            "/// `body`: #{ id: int, note: string?, next: #{",
            "fn replace_order(order_id, x_team, body, options) {",
            "fn replace_order(order_id, x_team, body) { replace_order(order_id, x_team, body, #{}) }",
            "asked(\"replace_order\", options, [\"dry run\"], []);",
            "request.headers[\"X-Team\"] = `${x_team}`;",
            "send(\"PUT\", `/orders/${part(order_id)}`, request)",
            "request.auth = bearer(secret(\"shop\"));",
        ],
    );
}

#[test]
fn lists_go_on_as_they_are_declared_to() {
    let cursor = json!([{"name": "cursor", "in": "query"}]);
    let link = json!({"200": {"headers": {"Link": {}}}});
    let description = with(&json!({
        "/a": {"get": {"operationId": "a", "parameters": cursor, "responses": ok("Page")}},
        "/b": {"get": {"operationId": "b", "responses": link}},
        "/c": {"get": {"operationId": "c", "responses": {"200": {"content": {"application/json": {"schema":
            {"properties": {"links": {"properties": {"next": {"type": ["string", "null"]}}}}}}}}}}},
        "/d": {"get": {"operationId": "d", "responses": ok("Page")}},
    }));
    let text = made(&description).text;
    holds(&text, &["fn a_pages(options, each)", "fn b_pages(options, each)", "fn c_pages(options, each)"]);
    holds(&text, &["response.body?[\"next_cursor\"]", "#{ cursor: mark }", "response.body?[\"links\"]?[\"next\"];"]);
    assert!(!text.contains("d_pages"), "its mark has no parameter to go to");
}

#[test]
fn names_are_the_scripts_own_and_each_is_there_once() {
    let get = |id: &str| json!({"get": {"operationId": id, "responses": {}}});
    let description = with(&json!({
        "/a": get("default"), "/b": get("sleep"), "/c": get("getHTTPThing"), "/d": get("get-http-thing"), "/e": get("2fa"),
        "/f/{id}/g": {"parameters": [{"name": "id", "in": "path", "required": true}], "delete": {"responses": {}}}, "/h": get("send"),
    }));
    let text = made(&description).text;
    let named = ["default_", "sleep_", "get_http_thing", "get_http_thing_2", "n_2fa"];
    named.iter().for_each(|name| holds(&text, &[&format!("\nfn {name}(options)")]));
    holds(&text, &["\nfn delete_f_by_id_g(id, options)", "\nfn send_2(options)"]);
}

#[test]
fn every_way_to_sign_is_what_a_script_writes() {
    let mut description = with(&json!({
        "/a": {"get": {"operationId": "a", "security": [], "responses": {}}},
        "/b": {"get": {"operationId": "b", "security": [{"odd": []}, {"key": [], "q": []}], "responses": {}}},
        "/c": {"get": {"operationId": "c", "security": [{"oauth": ["read"]}], "responses": {}}},
        "/d": {"get": {"operationId": "d", "security": [{"odd": []}], "responses": {}}},
    }));
    description["components"]["securitySchemes"] = json!({
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"}, "q": {"type": "apiKey", "in": "query", "name": "token"},
        "odd": {"type": "mutualTLS"}, "unused": {"type": "http", "scheme": "basic"},
        "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://id.example.com/token", "scopes": {"read": ""}}}},
    });
    let found = made(&description);
    holds(
        &found.text,
        &[
            "request.headers[\"X-Key\"] = `${secret(\"shop_key\")}`;",
            "request.query[\"token\"] = `${secret(\"shop_q\")}`;",
        ],
    );
    holds(
        &found.text,
        &["request = with_key(request);\n    request = with_q(request);", "request.auth = oauth2(\"shop_oauth\");"],
    );
    holds(
        &found.settings,
        &["[oauth2.shop_oauth]\ngrant = \"client_credentials\"\ntoken_url = \"https://id.example.com/token\""],
    );
    assert!(!found.text.contains("with_unused"), "what no operation uses is not there");
    assert_eq!(found.remarks.len(), 1);
    holds(
        &found.remarks[0],
        &["1 operations are called without a signature", "`odd`: its kind `mutualTLS` is not known"],
    );
}

#[test]
fn a_description_of_2_0_is_read_as_well() {
    let description = json!({
        "swagger": "2.0", "info": {"title": "The Old One", "version": "1"}, "host": "old.example.com", "basePath": "/api", "schemes": ["http"],
        "securityDefinitions": {"b": {"type": "basic"}}, "security": [{"b": []}],
        "parameters": {"tags": {"name": "tags", "in": "query", "type": "array", "items": {"type": "string"}}},
        "paths": {"/x": {
            "get": {"operationId": "list", "parameters": [{"$ref": "#/parameters/tags"}], "responses": {"200": {"schema": {"type": "array", "items": {}}}}},
            "post": {"operationId": "add", "parameters": [{"name": "f", "in": "formData", "type": "file"}], "responses": {}},
            "put": {"operationId": "set", "parameters": [{"name": "n", "in": "formData", "type": "string"}], "responses": {}},
            "patch": {"operationId": "change", "parameters": [{"name": "b", "in": "body", "schema": {"type": "object"}}], "responses": {}},
        }},
    });
    let found = made(&description);
    assert_eq!((found.name.as_str(), found.operations), ("old_one", 4));
    holds(
        &found.text,
        &[
            "config(\"old_one_url\", \"http://old.example.com/api\")",
            "request.query[\"tags\"] = request.query[\"tags\"].join(\",\")",
            "request.multipart = body;",
            "request.form = flat(body);",
            "if options.body != () { request.body = options.body; }",
            "request.auth = basic(config(\"old_one_user\"), secret(\"old_one\"));",
            "/// Returns [any].",
        ],
    );
}

#[test]
fn what_cannot_be_called_is_told_and_the_rest_is_there() {
    let description = with(&json!({
        "/a/{id}": {"get": {"operationId": "a", "responses": {}}},
        "/b": {"get": {"operationId": "b", "parameters": [{"$ref": "common.yaml#/x"}], "responses": {}}},
        "/c": {"get": {"operationId": "c", "responses": {}}},
        "/d": {"get": {"operationId": "d", "parameters": [{"$ref": "#/nowhere"}], "responses": {}}},
    }));
    let found = made(&description);
    assert_eq!((found.operations, found.remarks.len()), (1, 3));
    holds(
        &found.remarks.join("\n"),
        &["GET /a/{id} was left out: its path has `{id}`", "is in another file; hint", "`#/nowhere` leads nowhere"],
    );
}

#[test]
fn a_part_can_be_chosen_by_id_path_and_tag() {
    let get = |id: &str| json!({"get": {"operationId": id, "tags": ["all"], "responses": {}}});
    let description = with(&json!({"/a": get("listOrders"), "/b": get("listUsers"), "/c": get("other")})).to_string();
    let count = |only: &str| {
        let only = [only.to_owned()];
        module(&description, &Wish { only: &only, ..Wish::default() }, &|_| false).map(|module| module.operations)
    };
    assert_eq!((count("list*"), count("/c"), count("all"), count("listUsers")), (Ok(2), Ok(1), Ok(3), Ok(1)));
    assert!(count("listOrder").expect_err("none").contains("hint: did you mean `listOrders`?"));
}

#[test]
fn what_is_no_description_is_told_with_a_hint() {
    let told = |text: &str| module(text, &Wish::default(), &|_| false).expect_err("none");
    assert!(told("{").contains("no valid JSON"));
    assert!(told("<html>").contains("this is no OpenAPI description"));
    assert!(told("a: [").contains("no valid YAML"));
    assert!(told("{\"openapi\": \"4.0.0\"}").contains("version 4.0.0; 2.0, 3.0 and 3.1"));
    assert!(told("{\"openapi\": \"3.0.0\"}").contains("has no operations"));
    let circle =
        r##"{"openapi": "3.0.0", "paths": {"/a": {"get": {"parameters": [{"$ref": "#/x"}]}}}, "x": {"$ref": "#/x"}}"##;
    assert!(told(circle).contains("go in a circle"));
    let wish = Wish { name: Some("My Shop"), ..Wish::default() };
    assert!(
        module(&with(&json!({})).to_string(), &wish, &|_| false).expect_err("a name").contains("no name for a module")
    );
}

#[test]
fn a_service_without_an_address_of_its_own_is_where_the_description_was_or_a_setting_says() {
    let mut description = with(&json!({"/a": {"get": {"operationId": "a", "responses": {}}}}));
    description["servers"] = json!([{"url": "/v2"}]);
    assert!(made(&description).text.contains("config(\"shop_url\", \"https://api.example.com/v2\")"));
    let found = module(&description.to_string(), &Wish { source: "shop.json", ..Wish::default() }, &|_| false)
        .expect("a module");
    holds(&found.text, &["const URL = config(\"shop_url\");"]);
    assert_eq!(found.allow, "allow: #{ http: [\"config:shop_url\"], secrets: [\"shop\"] }");
    assert_eq!(found.settings, "[config]\nshop_url = \"https://…\"");
}

/// A description whose one operation is signed by this scheme.
fn signed(scheme: &serde_json::Value) -> Module {
    let mut description = with(&json!({"/a": {"get": {"operationId": "a", "responses": {}}}}));
    description["components"]["securitySchemes"] = json!({ "key": scheme });
    made(&description)
}

#[test]
fn a_client_of_oauth2_is_whole_and_the_workflow_may_use_it() {
    let found = signed(
        &json!({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {"read": ""}}}}),
    );
    assert_eq!(found.allow, "allow: #{ http: [\"eu.example.com\"], secrets: [\"oauth2:shop\"] }");
    holds(&found.settings, &["token_url = \"https://eu.example.com/token\"", "hosts = [\"eu.example.com\"]"]);
    assert_eq!(found.setup, ["panta secret set shop_client --for eu.example.com"]);
    let found = signed(&json!({"type": "oauth2", "flows": {"password": {"tokenUrl": "auth", "scopes": {}}}}));
    holds(
        &found.settings,
        &["grant = \"password\"\ntoken_url = \"https://eu.example.com/auth\"", "secret = \"shop_password\""],
    );
    let found = signed(
        &json!({"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "http://id.example.com/a", "scopes": {}}}}),
    );
    holds(
        &found.settings,
        &["the flow `implicit`, which is not known here", "auth_url = \"https://id.example.com/to-be-filled-in\""],
    );
    assert!(found.setup.contains(&"panta connect shop".to_owned()));
}

#[test]
fn of_several_ways_the_one_that_is_taken_needs_something() {
    let mut description = with(&json!({"/a": {"get": {"operationId": "a", "responses": {}}}}));
    description["security"] = json!([{"b": []}, {"c": []}, {"key": []}]);
    description["components"]["securitySchemes"]["b"] = json!({"type": "http", "scheme": "basic"});
    description["components"]["securitySchemes"]["c"] = json!({"type": "http", "scheme": "basic"});
    description["paths"]["/b"] = json!({"get": {"operationId": "b", "security": [{"c": []}], "responses": {}}});
    let found = made(&description);
    assert_eq!(found.allow, "allow: #{ http: [\"eu.example.com\"], secrets: [\"shop_b\", \"shop_c\"] }");
    assert_eq!(found.settings, "[config]\nshop_user = \"…\"");
    assert!(!found.text.contains("with_key"), "{}", found.text);
}

#[test]
fn yaml_is_read_as_1_2_has_it() {
    let text = "openapi: 3.0\ninfo: { title: Shop, version: 1.0 }\nservers: [ { url: https://shop.example.com } ]\npaths:\n  /a:\n    get:\n      \
                operationId: a\n      parameters: [ { name: on, in: query, required: true } ]\n      responses: {}\n";
    let found = module(text, &Wish::default(), &|_| false).expect("a module");
    holds(&found.text, &["//! Shop 1.0.", "request.query[\"on\"] = on;"]);
}
