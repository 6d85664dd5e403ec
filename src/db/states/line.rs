//! What a change was, in a line: made of the entries that go into the audit log.

use serde_json::Value;

use crate::model::{Action, EntityType, Event};

/// So many names, fields or events are told before the rest is counted.
const TOLD: usize = 3;

/// Longer values are cut, in characters.
const LONGEST: usize = 60;

/// Returns a line for all that was done at once.
pub(super) fn of(events: &[Event]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = events;
    while let Some(first) = rest.first() {
        let verb = verb(first);
        let same = rest.iter().take_while(|event| verb.is_some() && self::verb(event) == verb).count();
        match verb {
            Some(verb) if same > 1 => parts.push(format!("{verb} {}", some(rest[..same].iter().map(name), ", "))),
            _ => parts.push(one(first)),
        }
        rest = &rest[same.max(1)..];
    }
    some(parts.into_iter(), "; ")
}

/// Whether what was done was done within a network: hosts belong to none.
pub(super) fn is_of_a_network(events: &[Event]) -> bool {
    let elsewhere = |event: &Event| {
        matches!(event.entity_type, EntityType::Host | EntityType::Database)
            || matches!(event.action, Action::NetworkAdded | Action::NetworkRemoved)
    };
    !events.iter().all(elsewhere)
}

fn some(texts: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = texts.len().saturating_sub(TOLD);
    let told: Vec<String> = texts.take(TOLD).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", told.join(between))
}

fn name(event: &Event) -> String {
    let text = event.details["name"].as_str().or(event.entity_guid.as_deref()).unwrap_or_default();
    text.to_owned()
}

fn detail(event: &Event, member: &str) -> Option<String> {
    event.details.get(member).map(text)
}

/// Returns what was done in a word or two, when the name alone can follow.
fn verb(event: &Event) -> Option<String> {
    let host = match event.entity_type {
        EntityType::Host => "host ",
        EntityType::ExitGroup => "exit group ",
        EntityType::Group => "group ",
        EntityType::Network => "network ",
        _ => "",
    };
    let role = detail(event, "role").map(|role| format!("{role} ")).unwrap_or_default();
    Some(match event.action {
        Action::PeerAdded | Action::HostAdded | Action::ExitGroupAdded | Action::GroupAdded | Action::NetworkAdded => {
            format!("added {host}{role}").trim_end().to_owned()
        }
        Action::PeerRemoved
        | Action::HostRemoved
        | Action::ExitGroupRemoved
        | Action::GroupRemoved
        | Action::NetworkRemoved => format!("removed {host}{role}").trim_end().to_owned(),
        Action::PrivateKeyForgotten => "forgot the private key of".to_owned(),
        Action::HooksAdopted => "took over the hooks of".to_owned(),
        Action::HooksKept => "gave back the hooks of".to_owned(),
        _ => match changes(event).as_slice() {
            [(field, _, after)] if field == "enabled" => if after == "yes" { "enabled" } else { "disabled" }.to_owned(),
            _ => return None,
        },
    })
}

fn one(event: &Event) -> String {
    if let Some(verb) = verb(event) {
        return format!("{verb} {}", name(event));
    }
    let whose = match event.entity_type {
        EntityType::Network => "network".to_owned(),
        EntityType::Host => format!("host {}", name(event)),
        EntityType::ExitGroup => format!("exit group {}", name(event)),
        EntityType::Policy => format!("rotation policy {}", name(event)),
        EntityType::Group => format!("group {}", name(event)),
        EntityType::Node | EntityType::Database => name(event),
    };
    match event.action {
        Action::DatabaseCreated => format!("made the network {}", name(event)),
        Action::Imported => "imported what was there".to_owned(),
        Action::KeyRotation => {
            let reason = detail(event, "reason").filter(|reason| !reason.is_empty());
            format!("new key for {whose}{}", reason.map(|reason| format!(" ({reason})")).unwrap_or_default())
        }
        Action::PresharedKeyChanged if detail(event, "peer").is_some() => {
            let reason = detail(event, "reason").filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("new preshared key for {whose} – {}{reason}", detail(event, "peer").unwrap_or_default())
        }
        Action::ModelRolledBack => format!("back to state {}", detail(event, "state").unwrap_or_default()),
        Action::BackupRestored if detail(event, "mode").as_deref() == Some("merge") => {
            let id = detail(event, "backup").unwrap_or_default();
            format!("merged the backup {}", id.get(..8).unwrap_or(&id))
        }
        action => {
            let changes = changes(event);
            if changes.is_empty() {
                return format!("{whose}: {}", action.as_str().replace('_', " "));
            }
            if let [(field, before, after)] = changes.as_slice()
                && field == "name"
            {
                return format!("renamed {before} to {after}");
            }
            let told = changes.iter().map(|(field, before, after)| format!("{field} {before} → {after}"));
            let about = if action == Action::PskPolicyChanged { "preshared keys of " } else { "" };
            format!("{about}{whose}: {}", some(told, ", "))
        }
    }
}

/// Returns the fields that an event says have changed.
fn changes(event: &Event) -> Vec<(String, String, String)> {
    let side = |name: &str| event.details.get(name).and_then(Value::as_object);
    let (Some(before), Some(after)) = (side("before"), side("after")) else { return Vec::new() };
    let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
    fields.sort();
    fields.dedup();
    let value = |side: &serde_json::Map<String, Value>, field: &str| side.get(field).map_or("none".into(), text);
    fields.into_iter().map(|field| (field.clone(), value(before, field), value(after, field))).collect()
}

/// Writes a value on one line.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Name;

    fn host(action: Action, name: &str) -> Event {
        Event::host(action, &name.parse::<Name>().unwrap())
    }

    #[test]
    fn a_line_says_what_was_done_to_what() {
        let updated = |before: Value, after: Value| {
            of(&[host(Action::HostUpdated, "hub").with("before", before).with("after", after)])
        };
        let many: Vec<Event> = ["a", "b", "c", "d", "e"].map(|name| host(Action::HostAdded, name)).into();
        let mixed = [host(Action::HostAdded, "a"), host(Action::HostRemoved, "b"), host(Action::HostRemoved, "c")];
        let lines = [
            of(&many),
            of(&mixed),
            updated(json!({"port": 22, "user": null}), json!({"port": 2222, "user": "root"})),
            updated(json!({"name": "hub"}), json!({"name": "hub2"})),
            updated(json!({"enabled": "yes"}), json!({"enabled": "no"})),
            updated(json!({"notes": ""}), json!({"notes": format!("first\nsecond {}", "x".repeat(80))})),
            updated(json!({"a": 1, "b": 2, "c": 3, "d": 4}), json!({"a": 2, "b": 3, "c": 4, "d": 5})),
            of(&[host(Action::KeyRotation, "hub").with("reason", "lost")]),
            of(&[host(Action::ModelRolledBack, "hub").with("state", 7)]),
            of(&[host(Action::PeerUpdated, "hub")]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        added host a, b, c and 2 more
        added host a; removed host b, c
        host hub: port 22 → 2222, user none → root
        renamed hub to hub2
        disabled hub
        host hub: notes none → first second xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
        host hub: a 1 → 2, b 2 → 3, c 3 → 4 and 1 more
        new key for host hub (lost)
        back to state 7
        host hub: peer updated
        ");
    }
}
