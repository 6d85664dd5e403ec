//! One record of a tool's data, read field by field: a row of a table or an object of a JSON document.

use std::path::Path;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use crate::model::{Cidr, InterfaceAddr, PresharedKey, PrivateKey, PublicKey};

use super::ForeignError;
use super::error::{describe, part};

/// A value that may hold keys: its texts are wiped when it is dropped.
#[derive(Default)]
pub(super) struct Wiped(pub(super) Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads a JSON document that is an object.
///
/// # Errors
/// It isn't JSON, or nested too deeply, or not an object.
pub(super) fn object(file: &Path, format: &'static str, bytes: &[u8]) -> Result<Wiped, ForeignError> {
    // serde_json's own words may repeat what it found, which may be a key: only the place is told.
    let value = serde_json::from_slice(bytes).map(Wiped).map_err(|error| {
        let reason = format!("line {}, column {}: not JSON, or cut short", error.line(), error.column());
        ForeignError::format(file, format, reason)
    })?;
    match value.0 {
        Value::Object(_) => Ok(value),
        _ => Err(ForeignError::format(file, format, "expected a JSON object")),
    }
}

/// What stands between the place of a row and the name of a column.
const COLUMN: &str = ", column ";

/// Fields with names, and where they stand.
#[derive(Clone)]
pub(super) struct Record<'a> {
    file: &'a Path,
    place: String,
    fields: &'a Map<String, Value>,
    joint: &'static str,
}

impl<'a> Record<'a> {
    /// A row of a database.
    pub(super) fn row(file: &'a Path, place: String, fields: &'a Map<String, Value>) -> Self {
        Self { file, place, fields, joint: COLUMN }
    }

    /// The outermost object of a JSON document.
    pub(super) fn document(file: &'a Path, document: &'a Wiped) -> Self {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let fields = document.0.as_object().unwrap_or(&EMPTY);
        Self { file, place: String::new(), fields, joint: "." }
    }

    /// Where it stands: `table clients_table, row 3`, `clients.3f`.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether the field is there, even if it is empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn place_of(&self, name: &str) -> String {
        let name = part(name);
        if self.place.is_empty() { name } else { format!("{}{}{name}", self.place, self.joint) }
    }

    /// An error about a field.
    pub(super) fn error(&self, name: &str, found: String, expected: &str) -> ForeignError {
        ForeignError::Value {
            file: self.file.to_owned(),
            place: self.place_of(name),
            found,
            expected: expected.to_owned(),
        }
    }

    fn wrong(&self, name: &str, found: &Value, expected: &str) -> ForeignError {
        // In a row a list stands for bytes.
        let bytes = found.is_array() && self.joint == COLUMN;
        self.error(name, if bytes { "bytes that are no text".to_owned() } else { kind(found) }, expected)
    }

    /// A text; `None` when the field is missing, null, blank or a tool's word for nothing. Spaces around it are cut off.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ForeignError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !is_nothing(text))),
            Some(other) => Err(self.wrong(name, other, "text")),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, ForeignError> {
        self.text(name)?.ok_or_else(|| self.error(name, "nothing".to_owned(), "text"))
    }

    /// A text or a number, as text.
    pub(super) fn word(&self, name: &str) -> Result<Option<String>, ForeignError> {
        match self.fields.get(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.text(name)?.map(str::to_owned)),
        }
    }

    /// A whole number, which may be written as text.
    pub(super) fn number<T: TryFrom<i64>>(&self, name: &str, expected: &str) -> Result<Option<T>, ForeignError> {
        let Some(word) = self.word(name)? else { return Ok(None) };
        let number = word.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.error(name, describe(&word), expected))
    }

    /// Yes or no: `true`, 1, or one of them as text.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ForeignError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => match self.word(name)?.as_deref() {
                Some("1" | "true") => Ok(true),
                Some("0" | "false") => Ok(false),
                _ => Err(self.wrong(name, other, "true or false")),
            },
        }
    }

    /// A value with a form of its own.
    pub(super) fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ForeignError> {
        let Some(word) = self.word(name)? else { return Ok(None) };
        word.parse().map(Some).map_err(|_| self.error(name, describe(&word), expected))
    }

    /// A key, private, public or preshared; `None` when the field is empty.
    fn key<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ForeignError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.error(name, "text that is no key (not shown)".to_owned(), expected))
    }

    /// A private key.
    pub(super) fn private_key(&self, name: &str) -> Result<Option<PrivateKey>, ForeignError> {
        self.key(name, "a private key: 44 characters of base64, or nothing")
    }

    /// A preshared key.
    pub(super) fn preshared_key(&self, name: &str) -> Result<Option<PresharedKey>, ForeignError> {
        self.key(name, "a preshared key: 44 characters of base64, or nothing")
    }

    /// A public key.
    pub(super) fn public_key(&self, name: &str) -> Result<Option<PublicKey>, ForeignError> {
        self.key(name, "a public key: 44 characters of base64")
    }

    /// A public key that has to be there.
    pub(super) fn required_key(&self, name: &str) -> Result<PublicKey, ForeignError> {
        let missing = || self.error(name, "nothing".to_owned(), "a public key: 44 characters of base64");
        self.public_key(name)?.ok_or_else(missing)
    }

    /// Several texts: a JSON list, a text that holds one, or a text with commas. `None` when the field is missing, null
    /// or blank; blank items are left out.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>, ForeignError> {
        let expected = "a list of texts";
        let texts = |items: &[Value]| {
            items.iter().map(|item| item.as_str().map(|text| text.trim().to_owned())).collect::<Option<Vec<_>>>()
        };
        let items = match self.fields.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(found @ Value::Array(items)) => texts(items).ok_or_else(|| self.wrong(name, found, expected))?,
            Some(found @ Value::String(text)) if text.trim_start().starts_with('[') => {
                let list: Option<Vec<Value>> = serde_json::from_str(text).ok();
                list.as_deref().and_then(texts).ok_or_else(|| self.wrong(name, found, expected))?
            }
            Some(Value::String(text)) if text.trim().is_empty() || text.trim() == "null" => return Ok(None),
            Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Some(other) => return Err(self.wrong(name, other, expected)),
        };
        Ok(Some(items.into_iter().filter(|item| !is_nothing(item)).collect()))
    }

    /// Several prefixes, without their host bits as wg(8) takes them.
    pub(super) fn prefixes(&self, name: &str) -> Result<Option<Vec<Cidr>>, ForeignError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let read = |item: &String| {
            prefix(item).ok_or_else(|| self.error(name, describe(item), "prefixes such as 10.8.0.0/24"))
        };
        items.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// Several addresses with the lengths of their prefixes.
    pub(super) fn addresses(&self, name: &str) -> Result<Option<Vec<InterfaceAddr>>, ForeignError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let read =
            |item: &String| item.parse().map_err(|_| self.error(name, describe(item), "addresses such as 10.8.0.2/24"));
        items.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// An object in it; `None` when there is none.
    pub(super) fn object(&self, name: &str) -> Result<Option<Record<'a>>, ForeignError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => {
                Ok(Some(Self { file: self.file, place: self.place_of(name), fields, joint: self.joint }))
            }
            Some(other) => Err(self.wrong(name, other, "an object")),
        }
    }

    /// The objects in it, by name.
    pub(super) fn objects(&self) -> Result<Vec<(&'a str, Record<'a>)>, ForeignError> {
        let read = |(name, value): (&'a String, &Value)| match self.object(name)? {
            Some(record) => Ok((name.as_str(), record)),
            None => Err(self.wrong(name, value, "an object")),
        };
        self.fields.iter().map(read).collect()
    }
}

/// Reads a prefix and clears its host bits; an address alone is its /32 or /128.
pub(super) fn prefix(text: &str) -> Option<Cidr> {
    text.parse::<Cidr>().ok().or_else(|| text.parse::<IpNet>().ok().map(Cidr::containing))
}

/// Whether a text stands for nothing.
fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "N/A" | "(none)")
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => describe(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(json: &str, read: impl FnOnce(Record<'_>) -> T) -> T {
        let document = object(Path::new("wg0.json"), "test", json.as_bytes()).unwrap();
        read(Record::document(Path::new("wg0.json"), &document))
    }

    #[test]
    fn fields_are_read_in_every_way_that_tools_write_them() {
        with(r#"{"a": 25, "b": "25", "c": "", "d": true, "e": "0", "f": null}"#, |record| {
            for name in ["a", "b"] {
                assert_eq!(record.number::<u16>(name, "").unwrap(), Some(25));
            }
            for name in ["c", "f", "none"] {
                assert_eq!(record.number::<u16>(name, "").unwrap(), None);
                assert_eq!(record.text(name).unwrap(), None);
            }
            assert!(record.flag("d", false).unwrap() && !record.flag("e", true).unwrap());
            assert!(record.flag("none", true).unwrap());
        });
        with(r#"{"a": ["10.8.0.9/24", " "], "b": "[\"10.8.0.9/24\"]", "c": "10.8.0.9/24,"}"#, |record| {
            for name in ["a", "b", "c"] {
                assert_eq!(record.prefixes(name).unwrap().unwrap(), ["10.8.0.0/24".parse().unwrap()]);
                assert_eq!(record.addresses(name).unwrap().unwrap(), ["10.8.0.9/24".parse().unwrap()]);
            }
        });
    }

    #[test]
    fn errors_name_the_place_and_never_show_a_key() {
        let json = r#"{"clients": {"3f": {"privateKey": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk",
                        "port": 70000, "address": {"x": 1}, "name": ["yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk"]}}}"#;
        with(json, |record| {
            let client = record.object("clients").unwrap().unwrap().objects().unwrap().pop().unwrap().1;
            let errors = [
                client.private_key("privateKey").unwrap_err(),
                client.number::<u16>("port", "1 to 65535").unwrap_err(),
                client.text("address").unwrap_err(),
                client.prefixes("name").unwrap_err(),
                client.required("none").unwrap_err(),
            ];
            insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @"
            wg0.json, clients.3f.privateKey: found text that is no key (not shown), expected a private key: 44 characters of base64, or nothing
            wg0.json, clients.3f.port: found `70000`, expected 1 to 65535
            wg0.json, clients.3f.address: found an object, expected text
            wg0.json, clients.3f.name: found text that may be a key (not shown), expected prefixes such as 10.8.0.0/24
            wg0.json, clients.3f.none: found nothing, expected text
            ");
        });
    }

    #[test]
    fn what_is_not_json_is_refused_without_repeating_it() {
        let read = |text: &str| object(Path::new("f"), "wg-easy", text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            read("{\"privateKey\": yAnz5}"),
            "f can't be read as wg-easy: line 1, column 16: not JSON, or cut short"
        );
        assert_eq!(read("[]"), "f can't be read as wg-easy: expected a JSON object");
        let deep = "[".repeat(100_000);
        assert!(read(&deep).contains("not JSON"));
    }
}
