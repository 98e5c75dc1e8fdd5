/* What SWIG's module has beside SWIG's functions, and the handles that its functions pass. */
#include "binding.h"

#include <string.h>

hooks py;

/* ---- Capsules ---- */

static void free_client(PyObject *capsule) { ps_client_free(PyCapsule_GetPointer(capsule, "ps_client")); }

static void free_exchange(PyObject *capsule) { ps_exchange_free(PyCapsule_GetPointer(capsule, "ps_exchange")); }

static void free_meter(PyObject *capsule) { ps_meter_free(PyCapsule_GetPointer(capsule, "ps_meter")); }

static void free_value(PyObject *capsule) { ps_value_free(PyCapsule_GetPointer(capsule, "ps_value")); }

PyObject *to_capsule(void *handle, const char *kind) {
  if (strcmp(kind, "ps_client") == 0) return PyCapsule_New(handle, "ps_client", free_client);
  if (strcmp(kind, "ps_exchange") == 0) return PyCapsule_New(handle, "ps_exchange", free_exchange);
  if (strcmp(kind, "ps_meter") == 0) return PyCapsule_New(handle, "ps_meter", free_meter);
  if (strcmp(kind, "ps_operation") == 0) return PyCapsule_New(handle, "ps_operation", NULL);
  return PyCapsule_New(handle, "ps_value", free_value);
}

void *from_capsule(PyObject *capsule, const char *kind) { return PyCapsule_GetPointer(capsule, kind); }

/* ---- Types ---- */

PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name) {
  PyObject *type = PyType_FromSpec(spec);
  if (type && PyModule_AddObjectRef(module, name, type) < 0) Py_CLEAR(type);
  return (PyTypeObject *)type;
}

void *allocate(PyTypeObject *type) { return PyType_GenericAlloc(type, 0); }

void release(void *instance) {
  PyTypeObject *type = Py_TYPE((PyObject *)instance);
  PyObject_GC_Del(instance);
  Py_DECREF(type);
}

PyObject *imported(PyObject **kept, const char *module, const char *name) {
  if (!*kept) {
    PyObject *loaded = PyImport_ImportModule(module);
    *kept = loaded ? PyObject_GetAttrString(loaded, name) : NULL;
    Py_XDECREF(loaded);
  }
  Py_XINCREF(*kept);
  return *kept;
}

/* ---- Functions ---- */

/* core.setup(base, classes, resolve, inner, nested, missing, set_option, page, unset): see `hooks` */
static PyObject *core_setup(PyObject *self, PyObject *args) {
  hooks given;
  (void)self;
  if (!PyArg_ParseTuple(args, "OOOOOOOOO", &given.base, &given.classes, &given.resolve, &given.inner, &given.nested,
                        &given.missing, &given.set_option, &given.page, &given.unset)) {
    return NULL;
  }
  PyObject *all[] = {given.base,    given.classes,    given.resolve, given.inner, given.nested,
                     given.missing, given.set_option, given.page,    given.unset};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) Py_INCREF(all[i]); /* for the life of the process */
  py = given;
  Py_RETURN_NONE;
}

/* core.params(mapping, whether it goes out as JSON) → a value for the functions of SWIG */
static PyObject *core_params(PyObject *self, PyObject *args) {
  PyObject *params;
  int json;
  (void)self;
  if (!PyArg_ParseTuple(args, "Op", &params, &json)) return NULL;
  ps_value *v;
  if (!read_params(params, json != 0, &v)) return NULL;
  if (!v) Py_RETURN_NONE;
  return to_capsule(v, "ps_value");
}

static PyMethodDef functions[] = {
  {"setup", core_setup, METH_VARARGS, NULL},
  {"params", core_params, METH_VARARGS, NULL},
  {"build", core_build, METH_VARARGS, NULL},
  {"adopt", core_adopt, METH_VARARGS, NULL},
  {"state", core_state, METH_VARARGS, NULL},
  {"set_origin", core_set_origin, METH_VARARGS, NULL},
  {"request_of", core_request_of, METH_O, NULL},
  {"read_body", core_read_body, METH_O, NULL},
  {"answer", core_answer, METH_VARARGS, NULL},
  {"fail", core_fail, METH_VARARGS, NULL},
  {"event", core_event, METH_O, NULL},
  {NULL, NULL, 0, NULL},
};

/* What is static here and in the core's Python half is shared by all interpreters of a process. */
static bool is_main_interpreter(void) {
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) == 0) return true;
  PyErr_SetString(PyExc_ImportError, "pinstripe works in the main interpreter only, not in a subinterpreter");
  return false;
}

bool add_binding(PyObject *module) {
  return is_main_interpreter() && add_reply(module) && add_object(module) && add_pager(module) &&
         PyModule_AddFunctions(module, functions) == 0 && PyModule_AddFunctions(module, call_functions) == 0 &&
         PyModule_AddFunctions(module, table_functions) == 0;
}
