//! Filters as Python gives them: tuples of field, operator and value, in lists.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

use super::convert::{is_numpy_bool, is_of_numpy, type_name};
use crate::columns::{Constant, Field, Filter, Query, Test};
use crate::error::{Error, Result};

/// A search's arguments, as they are without a page and an order.
pub(super) fn query(filters: Option<&Bound<'_, PyAny>>, columns: Option<&[String]>) -> Result<Query> {
    let columns = columns.map(Field::from_names).transpose()?;
    Ok(Query::new(filter(filters)?, columns.unwrap_or_else(Field::default_columns)))
}

pub(super) fn filter(filters: Option<&Bound<'_, PyAny>>) -> Result<Filter> {
    let Some(filters) = filters else { return Ok(Filter::default()) };
    let entries = items(filters).ok_or_else(|| shape(filters))?;
    if entries.is_empty() {
        return Ok(Filter::default());
    }
    if entries.iter().all(is_test) {
        return Ok(Filter::any_of(vec![entries.iter().map(test).collect::<Result<_>>()?]));
    }
    let lists = entries.iter().map(|entry| {
        let tests = items(entry).filter(|tests| !is_test(entry) && tests.iter().all(is_test));
        tests.ok_or_else(|| shape(filters))?.iter().map(test).collect()
    });
    Ok(Filter::any_of(lists.collect::<Result<_>>()?))
}

fn shape(filters: &Bound<'_, PyAny>) -> Error {
    let shown = filters.repr().map_or_else(|_| type_name(filters), |text| text.to_string());
    Error::InvalidArgument(format!(
        "filters must be a list of (field, operator, value), which all have to hold, or a list of such lists, of which \
         one has to hold; got {shown}"
    ))
}

fn items<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    let is_list = value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>();
    let collect = || value.try_iter().ok()?.collect::<PyResult<_>>().ok();
    if is_list { collect() } else { None }
}

/// A test begins with the name of a field; a list of tests begins with a test.
fn is_test(value: &Bound<'_, PyAny>) -> bool {
    matches!(items(value).as_deref(), Some([first, ..]) if first.is_instance_of::<PyString>())
}

fn test(entry: &Bound<'_, PyAny>) -> Result<Test> {
    let parts = items(entry).unwrap_or_default();
    let (field, operator, value) = match parts.as_slice() {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value)),
        _ => {
            let shown = entry.repr().map_or_else(|_| type_name(entry), |text| text.to_string());
            let text = format!("a filter is (field, operator, value), got {shown}");
            return Err(Error::InvalidArgument(text));
        }
    };
    let constant = value.map_or(Ok(Constant::Null), constant)?;
    Test::new(&text(field)?, &text(operator)?, &constant)
}

fn text(value: &Bound<'_, PyAny>) -> Result<String> {
    value.extract().map_err(|_| {
        Error::InvalidArgument(format!("fields and operators of filters are str, got {}", type_name(value)))
    })
}

fn constant(value: &Bound<'_, PyAny>) -> Result<Constant> {
    let wrong = || {
        Error::InvalidArgument(format!(
            "a filter cannot compare with {}; it can with str, bool, int, float, datetime, None and lists of them",
            type_name(value)
        ))
    };
    if value.is_none() {
        return Ok(Constant::Null);
    }
    if value.is_instance_of::<PyBool>() || is_numpy_bool(value) {
        return value.is_truthy().map(Constant::Truth).map_err(|_| wrong());
    }
    if value.is_instance_of::<PyString>() {
        return value.extract().map(Constant::Text).map_err(|_| wrong());
    }
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>() {
        return value.extract().map(Constant::Number).map_err(|_| wrong());
    }
    let is_set = value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>();
    if is_set || items(value).is_some() {
        let items = value.try_iter().map_err(|_| wrong())?;
        let items = items.map(|item| constant(&item.map_err(|_| wrong())?));
        return items.collect::<Result<_>>().map(Constant::List);
    }
    if let Some(date) = date(value).map_err(|_| wrong())? {
        return Ok(date);
    }
    if is_of_numpy(value) || value.hasattr("tolist").unwrap_or(false) {
        // A scalar or an array of NumPy, a column of pandas: as Python's own.
        let own = value.call_method0("tolist").map_err(|_| wrong())?;
        if !own.get_type().is(value.get_type()) {
            return constant(&own);
        }
    }
    Err(wrong())
}

/// A `datetime`, without a zone in UTC, or a `date`.
fn date(value: &Bound<'_, PyAny>) -> PyResult<Option<Constant>> {
    let module = value.py().import("datetime")?;
    let class = module.getattr("datetime")?;
    if !value.is_instance(&class)? {
        let is_date = value.is_instance(&module.getattr("date")?)?;
        return if is_date { value.str()?.extract().map(Constant::Text).map(Some) } else { Ok(None) };
    }
    let utc = module.getattr("UTC")?;
    let moment = if value.getattr("tzinfo")?.is_none() {
        let named = pyo3::types::PyDict::new(value.py());
        named.set_item("tzinfo", &utc)?;
        value.call_method("replace", (), Some(&named))?
    } else {
        value.clone()
    };
    let since = moment.sub(class.call1((1970, 1, 1, 0, 0, 0, 0, utc))?)?;
    let microsecond = module.getattr("timedelta")?.call1((0, 0, 1))?;
    since.floor_div(microsecond)?.extract().map(Constant::Instant).map(Some)
}
