//! A batch as a file: what one process asks another one to commit.
//!
//! ```text
//! tirastore-post 3 <bytes of what follows> <its SHA-256, 64 hexadecimal digits>
//! {"id": text, "recorder": [host, user, project], "environment": text or null, "programs": [[hash, name, source], ...], "rows": [[program, if_exists, claim, key, ...], ...]}
//! ```
//!
//! Most are only requests: nothing of them is acknowledged, so nothing of them is synced. Those that are handed over for
//! good are (`keep`). Torn, cut or foreign files fail their checksum and are left alone, and so is one that is of another
//! batch than its name: a client of the file system that remembers contents by inode number may serve those of the file
//! that had the number before. Formats 1 and 2 were of no release, and are not read.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::batch::{Batch, Program, Row};
use crate::identity::HexDigest;
use crate::measurement::IfExists;
use crate::storage::applied::BatchId;
use crate::storage::records::Recorder;

const KIND: &str = "tirastore-post";
const VERSION: &str = "3";

/// The contents of the file for `batch`. Its id is the file's name as well.
pub(super) fn encode(batch: &Batch) -> Vec<u8> {
    let mut programs: Vec<&Arc<Program>> = Vec::new();
    let mut numbers = HashMap::new();
    let mut rows = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        let number = *numbers.entry(Arc::as_ptr(&row.program)).or_insert_with(|| {
            programs.push(&row.program);
            programs.len() - 1
        });
        rows.push(json!([number, row.if_exists.name(), row.claim, row.key, row.schedule, row.result_json]));
    }
    let programs: Vec<_> =
        programs.iter().map(|program| json!([program.hash, program.name, program.source])).collect();
    let Recorder { hostname, username, source_project, environment } = &batch.recorder;
    let body = json!({
        "id": batch.id.to_string(),
        "recorder": [hostname, username, source_project],
        "environment": environment.as_deref(),
        "programs": programs,
        "rows": rows,
    });
    let body = body.to_string();
    format!("{KIND} {VERSION} {} {}\n{body}", body.len(), HexDigest::of(body.as_bytes())).into_bytes()
}

/// Is a file that cannot be decoded the whole one of another batch? Then a client of the file system serves something that
/// it remembers, and will not do so for long.
pub(super) fn is_of_another(id: &BatchId, contents: &[u8]) -> bool {
    body(contents).is_some_and(|body| of_another(id, &body))
}

fn of_another(id: &BatchId, body: &Value) -> bool {
    body.get("id").and_then(Value::as_str) != Some(&id.to_string())
        && !crate::mutation::off("post-of-its-name")
}

/// The batch that a file holds; `None` where it is not whole, of another batch, or says something that this version does
/// not know.
pub(super) fn decode(id: BatchId, contents: &[u8]) -> Option<Batch> {
    let body = body(contents)?;
    if of_another(&id, &body) {
        return None;
    }
    batch_of(id, &body)
}

/// What stands behind a whole file's checksum.
fn body(contents: &[u8]) -> Option<Value> {
    let end = contents.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = (std::str::from_utf8(&contents[..end]).ok()?, &contents[end + 1..]);
    let fields: Vec<&str> = head.split(' ').collect();
    let [KIND, VERSION, length, sum] = fields.as_slice() else { return None };
    if length.parse() != Ok(body.len())
        || (*sum != HexDigest::of(body).as_str() && !crate::mutation::off("post-checksum"))
    {
        return None;
    }
    serde_json::from_slice(body).ok()
}

fn batch_of(id: BatchId, body: &Value) -> Option<Batch> {
    let [hostname, username, source_project] = texts(body.get("recorder")?.as_array()?)?;
    let environment = match body.get("environment")? {
        Value::Null => None,
        text => Some(Arc::from(text.as_str()?)),
    };
    let programs = body.get("programs")?.as_array()?.iter().map(|program| {
        let [hash, name, source] = texts(program.as_array()?)?;
        Some(Arc::new(Program { hash, name, source }))
    });
    let programs = programs.collect::<Option<Vec<_>>>()?;
    let rows = body.get("rows")?.as_array()?.iter().map(|row| {
        let [program, if_exists, claim, texts_of_row @ ..] = row.as_array()?.as_slice() else { return None };
        let program = Arc::clone(programs.get(usize::try_from(program.as_u64()?).ok()?)?);
        let [key, schedule, result_json] = texts(texts_of_row)?;
        let if_exists = IfExists::from_name(if_exists.as_str()?)?;
        let claim = serde_json::from_value(claim.clone()).ok()?;
        Some(Arc::new(Row { if_exists, program, key, schedule, result_json, claim }))
    });
    Some(Batch {
        id,
        recorder: Recorder { hostname, username, source_project, environment },
        rows: rows.collect::<Option<_>>()?,
    })
}

fn texts<const N: usize>(values: &[Value]) -> Option<[String; N]> {
    let texts = values.iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::ids;
    use super::*;
    use proptest::prelude::*;

    fn batch(name: &str, source: &str, overwrite: bool, rows: usize) -> Batch {
        let program =
            Arc::new(Program { hash: "h".to_owned(), name: name.to_owned(), source: source.to_owned() });
        let row = |number| Row {
            if_exists: IfExists::from((number % 2 == 0) == overwrite),
            program: Arc::clone(&program),
            key: format!("key {number}"),
            schedule: source.to_owned(),
            result_json: "{}".to_owned(),
            claim: (number % 2 == 0).then(|| name.to_owned()),
        };
        let recorder = Recorder {
            hostname: name.to_owned(),
            username: source.to_owned(),
            source_project: String::new(),
            environment: overwrite.then(|| Arc::from(source)),
        };
        let rows = (0..rows).map(row).map(Arc::new).collect();
        Batch { id: ids::Asking::begin().next_batch(), recorder, rows }
    }

    proptest! {
        #[test]
        fn a_post_says_what_was_posted(name: String, source: String, overwrite: bool, rows in 0..5_usize) {
            let batch = batch(&name, &source, overwrite, rows);
            prop_assert_eq!(decode(batch.id.clone(), &encode(&batch)), Some(batch));
        }

        #[test]
        fn a_post_that_is_cut_or_changed_is_none(source: String, at: prop::sample::Index, change in 1..=255_u8) {
            let batch = batch("name", &source, false, 2);
            let mut contents = encode(&batch);
            let at = at.index(contents.len());
            prop_assert_eq!(decode(batch.id.clone(), &contents[..at]), None);
            contents[at] ^= change;
            prop_assert_eq!(decode(batch.id, &contents), None);
        }

        #[test]
        fn any_bytes_are_no_post_and_no_panic(contents: Vec<u8>) {
            prop_assert_eq!(decode(ids::Asking::begin().next_batch(), &contents), None);
        }
    }

    #[test]
    fn a_post_in_the_file_of_another_one_is_none() {
        let [one, other] = [batch("one", "source", false, 1), batch("other", "source", false, 1)];
        let read = || decode(other.id.clone(), &encode(&one));
        assert_eq!(read(), None);
        assert!(is_of_another(&other.id, &encode(&one)), "it is only late");
        assert!(!is_of_another(&other.id, &encode(&other)) && !is_of_another(&other.id, b"torn"));
        let taken = crate::mutation::without("post-of-its-name", read);
        assert!(taken.is_some(), "the promise is kept without it: this test cannot see it fail");
    }

    #[test]
    fn without_the_checksum_a_changed_post_is_taken() {
        let batch = batch("name", "source", false, 1);
        let mut contents = encode(&batch);
        let at = contents.windows(6).rposition(|bytes| bytes == b"source").expect("the schedule");
        contents[at] ^= 1;
        let taken = crate::mutation::without("post-checksum", || decode(batch.id, &contents));
        assert!(taken.is_some(), "the promise is kept without the checksum: this test cannot see it fail");
    }
}
