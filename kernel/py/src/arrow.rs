//! Arrow in and out, by the `PyCapsule` form of its C data interface: no copies, no common Python package.

use std::ffi::CStr;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, StructArray, make_array};
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

    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

/// The one batch of an object with `__arrow_c_array__`.
pub(crate) fn one_batch(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    if let Ok(own) = object.cast::<ArrowBatch>() {
        return Ok(own.get().0.clone());
    }
    let array = import(
        object,
        "expected one Arrow record batch (an object with __arrow_c_array__)",
    )?;
    match array.as_struct_opt() {
        Some(rows) if rows.null_count() == 0 => Ok(RecordBatch::from(rows)),
        _ => Err(InputError::new_err("expected a record batch, not a single array")),
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
    unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.as_ptr());
        from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), &schema)
    }
    .map(make_array)
    .map_err(InputError::of_arrow)
}

/// All batches of an object with `__arrow_c_stream__` (a table, a reader) as one; or its one batch.
pub(crate) fn all_batches(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    if !object.hasattr("__arrow_c_stream__")? {
        return one_batch(object);
    }
    let stream: Bound<'_, PyCapsule> = object.call_method0("__arrow_c_stream__")?.extract()?;
    let stream = stream
        .pointer_checked(Some(STREAM))?
        .cast::<FFI_ArrowArrayStream>();
    // SAFETY: the capsule's name vouches for what it points to; the stream is moved out, and the capsule's
    // destructor sees that.
    let reader =
        unsafe { ArrowArrayStreamReader::from_raw(stream.as_ptr()) }.map_err(InputError::of_arrow)?;
    let schema = reader.schema();
    let batches = reader
        .collect::<Result<Vec<_>, _>>()
        .map_err(InputError::of_arrow)?;
    concat_batches(&schema, &batches).map_err(InputError::of_arrow)
}
