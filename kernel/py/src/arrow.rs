//! Arrow in and out, by the `PyCapsule` form of its C data interface: no copies, no common Python package.

use std::any::Any;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray, make_array,
};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::errors::InputError;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// A record batch that `pyarrow.record_batch(...)`, polars and others take over without copying.
#[pyclass(frozen, subclass, module = "skewless_kernel")]
pub(crate) struct ArrowBatch(pub(crate) RecordBatch);

#[pymethods]
impl ArrowBatch {
    /// The schema as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.0.schema_ref().as_ref()).map_err(InputError::of_arrow)?;
        PyCapsule::new_with_value(py, schema, SCHEMA)
    }

    /// Schema and array as capsules. A requested schema is not regarded, as the protocol allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        let data = StructArray::from(self.0.clone()).into_data();
        let (array, schema) = to_ffi(&data).map_err(InputError::of_arrow)?;
        let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
        let array = PyCapsule::new_with_value(py, array, ARRAY)?;
        PyTuple::new(py, [schema, array])
    }

    /// A stream of this one batch, as a capsule. A requested schema is not regarded.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let batches = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, STREAM)
    }

    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

/// The rows of an object with `__arrow_c_array__` (a batch) or `__arrow_c_stream__` (a table, a reader) as one batch.
pub(crate) fn all_batches(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    if let Ok(own) = object.cast::<ArrowBatch>() {
        return Ok(own.get().0.clone());
    }
    let is_stream = !object.hasattr("__arrow_c_array__")? && object.hasattr("__arrow_c_stream__")?;
    if is_stream {
        return stream(object);
    }
    let expected = "expected Arrow rows (an object with __arrow_c_array__ or __arrow_c_stream__)";
    let array = import(object, expected)?;
    match array.as_struct_opt() {
        Some(rows) if rows.null_count() == 0 => Ok(RecordBatch::from(rows)),
        Some(_) => Err(InputError::new_err(
            "expected a record batch; this array of structs has nulls",
        )),
        None => Err(InputError::new_err("expected a record batch, not a single array")),
    }
}

/// The single array of an object with `__arrow_c_array__`.
pub(crate) fn one_array(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    import(
        object,
        "expected one Arrow array (an object with __arrow_c_array__)",
    )
}

fn import(object: &Bound<'_, PyAny>, expected: &'static str) -> PyResult<ArrayRef> {
    if !object.hasattr("__arrow_c_array__")? {
        return Err(InputError::new_err(expected));
    }
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        object.call_method0("__arrow_c_array__")?.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: the capsules' names vouch for what they point to; both are moved out, and the capsules' destructors
    // see that.
    let (schema, array) = unsafe {
        (
            FFI_ArrowSchema::from_raw(schema.as_ptr()),
            FFI_ArrowArray::from_raw(array.as_ptr()),
        )
    };
    checked(object.py(), move || {
        // SAFETY: the producer vouches for the pointers in it, whose lengths follow from the type and are in it.
        let data = unsafe { from_ffi(array, &schema) }?;
        data.validate_full()?;
        Ok(make_array(data))
    })
}

fn stream(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let stream: Bound<'_, PyCapsule> = object.call_method0("__arrow_c_stream__")?.extract()?;
    let stream = stream
        .pointer_checked(Some(STREAM))?
        .cast::<FFI_ArrowArrayStream>();
    // SAFETY: the capsule's name vouches for what it points to; the stream is moved out, and the capsule's
    // destructor sees that.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    checked(object.py(), move || {
        let reader = ArrowArrayStreamReader::try_new(stream)?;
        let schema = reader.schema();
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch?;
            for column in batch.columns() {
                column.to_data().validate_full()?;
            }
            batches.push(batch);
        }
        match batches.as_slice() {
            [whole] => Ok(whole.clone()),
            _ => concat_batches(&schema, &batches),
        }
    })
}

/// What a producer hands over is taken at its word only as far as it can be checked: offsets, texts and places in
/// dictionaries are looked at before anything reads by them, and where Arrow itself stops at what it meets, that is
/// an error like any other. Other threads run meanwhile.
fn checked<T: Send>(py: Python<'_>, take: impl FnOnce() -> Result<T, ArrowError> + Send) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(take)))
        .map_err(|panic| InputError::new_err(format!("the Arrow data cannot be read: {}", told(&*panic))))?
        .map_err(InputError::of_arrow)
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("for no stated reason")
}
