//! The page says what the server does.

use std::{collections::HashSet, sync::Arc};

use guildhall_transcode::{
    Options, Resume,
    openapi::{Page, document},
};
use serde_json::{Value, json};

use crate::support::rest_with;

fn page(strict: bool) -> Value {
    let resume = Resume {
        request_field: "last_event_id".into(),
        response_field: "event_id".into(),
    };
    let rest = rest_with(Options {
        strict,
        filter: Arc::new(|rpc| rpc.name() != "Echo"),
        resume: Arc::new(move |rpc| (rpc.name() == "Watch").then(|| resume.clone())),
        ..Options::default()
    });
    document(
        &rest,
        &Page {
            title: "Rooms".into(),
            description: "Talk.".into(),
            servers: vec!["https://rooms.test".into()],
            security_schemes: json!({"bearer": {"type": "http", "scheme": "bearer"}}),
            security: json!([{"bearer": []}]),
            public: Arc::new(|rpc| rpc.name() == "ListRooms"),
            ..Page::default()
        },
    )
}

fn parameter<'p>(operation: &'p Value, name: &str) -> &'p Value {
    let list = operation["parameters"].as_array().unwrap();
    list.iter()
        .find(|parameter| parameter["name"] == name)
        .unwrap_or(&Value::Null)
}

#[test]
fn a_page_names_every_route_once() {
    let page = page(true);

    let paths: Vec<&String> = page["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/v1/rooms",
            "/v1/rooms/{roomId}",
            "/v1/old/{roomId}",
            "/v1/rooms/search",
            "/v1/rooms/{roomId}:archive",
            "/v1/rooms/{name1}/messages/{name2}",
            "/v1/watch",
            "/v1/files/{path}",
            "/v1/pieces/{path}",
        ]
    );
    assert_eq!(page["openapi"], "3.1.0");
    assert_eq!(
        page["info"],
        json!({"title": "Rooms", "version": "1", "description": "Talk."})
    );
    assert_eq!(
        page["tags"],
        json!([{"name": "RoomService", "description": "Rooms and what is said in them."}])
    );
    assert_eq!(
        page["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
}

#[test]
fn operations_have_ids_of_their_own_and_words() {
    let page = page(true);
    let mut ids = HashSet::new();
    for item in page["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    let create = &page["paths"]["/v1/rooms"]["post"];

    assert!(ids.contains("RoomService_GetRoom") && ids.contains("RoomService_GetRoom_2"));
    assert_eq!(create["summary"], "Makes a room");
    assert_eq!(create["description"], "Makes a room. The caller owns it.");
    assert_eq!(create["tags"], json!(["RoomService"]));
    assert_eq!(create["security"], json!([{"bearer": []}]));
    assert_eq!(page["paths"]["/v1/rooms"]["get"]["security"], json!([]));
}

#[test]
fn a_request_schema_says_what_the_rules_say() {
    let page = page(true);
    let body = &page["paths"]["/v1/rooms"]["post"]["requestBody"];
    let schema = &page["components"]["schemas"]["CreateRoomRequest"];

    assert_eq!(
        *body,
        json!({"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CreateRoomRequest"}}}})
    );
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["name", "kind"]));
    let uuid = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
    assert_eq!(
        schema["properties"],
        json!({
            "name": {"type": "string", "minLength": 1, "maxLength": 80, "description": "What people call it."},
            "kind": {"type": "string", "enum": ["KIND_TEXT", "KIND_VOICE"]},
            "userIds": {
                "type": "array", "maxItems": 20, "uniqueItems": true,
                "items": {"type": "string", "format": "uuid", "pattern": uuid}
            },
            "owner": {"$ref": "#/components/schemas/Owner"},
            "limit": {"type": "integer", "format": "uint32", "minimum": 1, "maximum": 100},
            "slug": {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"const": ""}]},
            "city": {"type": "string"},
            "limits": {"$ref": "#/components/schemas/LimitsInput"}
        })
    );
    assert_eq!(
        schema["allOf"],
        json!([{"oneOf": [
            {"required": ["city"]}, {"required": ["limits"]},
            {"not": {"anyOf": [{"required": ["city"]}, {"required": ["limits"]}]}}
        ]}])
    );
    assert_eq!(
        page["components"]["schemas"]["Owner"]["required"],
        json!(["eMail"])
    );
}

#[test]
fn an_answer_schema_is_open_and_requires_what_is_always_printed() {
    let page = page(true);
    let room = &page["components"]["schemas"]["Room"];
    let limits = &page["components"]["schemas"]["Limits"];

    assert_eq!(
        room["required"],
        json!(["id", "name", "kind", "size", "labels", "tags"])
    );
    assert_eq!(room["properties"]["size"]["type"], "string");
    assert_eq!(
        room["properties"]["createdAt"],
        json!({"type": "string", "format": "date-time"})
    );
    assert_eq!(
        room["properties"]["labels"],
        json!({"type": "object", "additionalProperties": {"type": "string"}})
    );
    assert_eq!(room["properties"]["id"]["readOnly"], true);
    assert_eq!(room.get("additionalProperties"), None);
    assert_eq!(
        limits["properties"]["inner"],
        json!({"$ref": "#/components/schemas/Limits"})
    );
    assert_eq!(
        page["components"]["schemas"]["Kind"]["description"],
        "What sort of room it is.\n\n- `KIND_UNSPECIFIED`: Not said.\n- `KIND_TEXT`: For text.\n- `KIND_VOICE`: For voice."
    );
}

#[test]
fn query_parameters_are_the_leaves_that_are_left() {
    let page = page(true);
    let list = &page["paths"]["/v1/rooms"]["get"];
    let names: Vec<&str> = list["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();

    assert_eq!(
        names,
        [
            "pageSize",
            "pageToken",
            "kinds",
            "before",
            "limits.members",
            "limits.idle",
            "by",
            "least",
            "cursor"
        ]
    );
    assert_eq!(
        parameter(list, "by")["schema"],
        json!({
            "type": "object", "maxProperties": 1, "additionalProperties": false,
            "properties": {"name": {"type": "string"}, "mine": {"type": "boolean"}}
        })
    );
    assert_eq!(parameter(list, "pageSize")["schema"]["maximum"], 100);
    assert_eq!(
        parameter(list, "kinds")["schema"],
        json!({"type": "array", "items": {"$ref": "#/components/schemas/Kind"}})
    );
    let patch = &page["paths"]["/v1/rooms/{roomId}"]["patch"];
    let names: Vec<&str> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["roomId", "updateMask"]);
}

#[test]
fn path_parameters_are_never_empty() {
    let page = page(true);
    let get = &page["paths"]["/v1/rooms/{roomId}"]["get"];
    let patch = &page["paths"]["/v1/rooms/{roomId}"]["patch"];

    assert_eq!(
        *parameter(get, "roomId"),
        json!({"name": "roomId", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
    );
    assert_eq!(parameter(patch, "roomId")["schema"]["minLength"], 1);
}

#[test]
fn a_body_that_the_path_leaves_nothing_of_may_be_absent() {
    let page = page(true);
    let archive = &page["paths"]["/v1/rooms/{roomId}:archive"]["post"]["requestBody"];

    assert_eq!(archive["required"], false);
}

#[test]
fn streams_and_their_resumption_are_described() {
    let page = page(true);
    let watch = &page["paths"]["/v1/watch"]["get"];

    let content = watch["responses"]["200"]["content"].as_object().unwrap();
    assert_eq!(
        content.keys().collect::<Vec<_>>(),
        ["text/event-stream", "application/x-ndjson"]
    );
    assert_eq!(
        content["text/event-stream"]["schema"]["$ref"],
        "#/components/schemas/Room"
    );
    assert_eq!(parameter(watch, "Last-Event-ID")["in"], "header");
}

#[test]
fn every_operation_documents_its_problems() {
    let page = page(true);
    let create = page["paths"]["/v1/rooms"]["post"]["responses"]
        .as_object()
        .unwrap();
    let get = page["paths"]["/v1/rooms"]["get"]["responses"]
        .as_object()
        .unwrap();

    assert_eq!(
        create.keys().collect::<Vec<_>>(),
        [
            "200", "400", "401", "403", "404", "406", "409", "413", "415", "429", "default"
        ]
    );
    assert!(!get.contains_key("413") && !get.contains_key("415"));
    assert_eq!(create["default"]["$ref"], "#/components/responses/Failed");
    assert_eq!(
        page["components"]["responses"]["Failed"]["content"],
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}})
    );
}

#[test]
fn every_reference_leads_somewhere() {
    for strict in [false, true] {
        let page = page(strict);
        let mut references = HashSet::new();
        collect(&page, &mut references);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(
                page.pointer(pointer).is_some_and(Value::is_object),
                "{reference}"
            );
        }
    }
}

#[test]
fn a_lenient_page_lists_the_other_spellings() {
    let page = page(false);
    let schema = &page["components"]["schemas"]["CreateRoomRequest"]["properties"];

    assert_eq!(
        schema["limit"]["type"],
        json!(["integer", "string", "null"])
    );
    assert_eq!(schema["city"]["type"], json!(["string", "null"]));
    assert_eq!(
        schema["owner"],
        json!({"anyOf": [{"$ref": "#/components/schemas/Owner"}, {"type": "null"}]})
    );
    assert_eq!(
        schema["name"]["type"], "string",
        "a field that must be there is not null"
    );
}

fn collect(value: &Value, references: &mut HashSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value.as_str() {
                    Some(target) if key == "$ref" => {
                        references.insert(target.to_owned());
                    }
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
