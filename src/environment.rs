//! Where a measurement is made: what its times depend on beside program and schedule.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::machine;

/// What two environments have in common whose times can be compared. The host is not among it, because the nodes of a
/// partition are alike, nor the kernel, because an update must not make all times foreign.
const COMPARED: [&str; 5] = ["cpu_model", "cores", "threads", "compiler", "tiramisu"];

/// The environment of this process as canonical JSON: what the machine says, and what the caller `knows` beside or
/// better. `cpu_model` is that of the machine, or what it passes for.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for another unit of time than milliseconds.
pub(crate) fn here(cpu_model: &str, knows: &Map<String, Value>) -> Result<String> {
    let mut environment = Map::new();
    environment.insert("cpu_model".to_owned(), machine::comparable_cpu_model(cpu_model).into());
    environment.insert("cores".to_owned(), machine::cores().into());
    if let Some(threads) = machine::threads() {
        // A list of numbers, one for each level, where there are several.
        let threads = threads.parse::<u64>().map_or_else(|_| threads.into(), Value::from);
        environment.insert("threads".to_owned(), threads);
    }
    if let Some(kernel) = machine::kernel() {
        environment.insert("kernel".to_owned(), kernel.into());
    }
    environment.extend(knows.clone());
    if environment.insert("unit".to_owned(), "ms".into()).is_some_and(|unit| unit != "ms") {
        let text = "environment: the unit of times is \"ms\"; convert them before they are recorded";
        return Err(Error::InvalidArgument(text.to_owned()));
    }
    // Sorted by key at every level, so that one environment has one text.
    Ok(json!(environment).to_string())
}

/// Are times of one comparable with times of the other?
pub(crate) fn is_same_machine(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    COMPARED.iter().all(|name| one.get(*name) == other.get(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(object: &Value) -> Map<String, Value> {
        object.as_object().cloned().expect("an object")
    }

    #[test]
    fn one_environment_has_one_text() {
        let (one, other) = (json!({"b": {"y": 1, "x": 2}, "a": 1}), json!({"a": 1, "b": {"x": 2, "y": 1}}));
        let texts = [one, other].map(|extra| here("A  CPU", &known(&extra)).expect("valid"));
        assert_eq!(texts[0], texts[1]);
        assert!(
            texts[0].contains(r#""cpu_model":"A CPU""#) && texts[0].contains(r#""unit":"ms""#),
            "{}",
            texts[0]
        );
    }

    #[test]
    fn the_unit_is_milliseconds() {
        assert!(here("CPU", &known(&json!({"unit": "ms"}))).is_ok());
        let error = here("CPU", &known(&json!({"unit": "s"}))).expect_err("refused");
        assert!(error.to_string().contains("\"ms\""), "{error}");
    }

    #[test]
    fn what_times_depend_on_makes_two_machines() {
        let read = |extra: Value| {
            let text = here("CPU", &known(&extra)).expect("valid");
            serde_json::from_str(&text).expect("an object")
        };
        let this = read(json!({}));
        for same in [json!({"kernel": "5.14"}), json!({"node": "n01"})] {
            assert!(is_same_machine(&this, &read(same)));
        }
        for name in COMPARED {
            assert!(!is_same_machine(&this, &read(json!({ name: "another" }))), "{name}");
        }
    }
}
