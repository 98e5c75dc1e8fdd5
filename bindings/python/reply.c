/* What a call came to, as Python reads it. The Reply owns the result for as long as one of its objects lives. */
#include "binding.h"

#include <string.h>

PyTypeObject *reply_type;

PyObject *new_reply(ps_result *result) {
  reply *r = allocate(reply_type);
  if (!r) {
    ps_result_free(result);
    return NULL;
  }
  r->result = result;
  return (PyObject *)r;
}

const ps_value *reply_data(const reply *r) { return r->tree ? r->tree : ps_data(r->result); }

static int traverse(reply *r, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(r));
  Py_VISIT(r->origin);
  Py_VISIT(r->params);
  return 0;
}

static int clear(reply *r) {
  Py_CLEAR(r->origin);
  Py_CLEAR(r->params);
  return 0;
}

static void dealloc(reply *r) {
  PyObject_GC_UnTrack(r);
  clear(r);
  ps_result_free(r->result);
  ps_value_free(r->tree);
  release(r);
}

/* ---- Reading ---- */

PyObject *reply_read(reply *r, PyObject *class) {
  const ps_value *v = reply_data(r);
  const ps_api_type *type = ps_result_type(r->result);
  if (!type) type = ps_type_resolve(NULL, v);
  const context at = {.reply = r};
  PyObject *o = class && ps_type(v, NULL) == PS_MAP ? new_object(class, r, v, type) : make_value(&at, v, type);
  if (o && PyObject_TypeCheck(o, object_type)) ((object *)o)->top = ++r->tops;
  return o;
}

/* reply.read(class or None): the data as Python sees it */
static PyObject *read_as(reply *r, PyObject *class) { return reply_read(r, class == Py_None ? NULL : class); }

/* reply.object(origin, params, class or None): the same, of what was called by `origin` with `params` */
static PyObject *reply_object(reply *r, PyObject *args) {
  PyObject *origin, *params, *class;
  if (!PyArg_ParseTuple(args, "OOO", &origin, &params, &class)) return NULL;
  put(&r->origin, Py_NewRef(origin));
  put(&r->params, Py_NewRef(params));
  return read_as(r, class);
}

static PyObject *reply_plain(reply *r, PyObject *unused) {
  (void)unused;
  return make_plain(reply_data(r), NULL, true);
}

/* A header that came twice is one, its values joined by commas. */
static bool add_header(PyObject *dict, const char *name, const char *value) {
  char lower[128];
  size_t length = strlen(name);
  if (length >= sizeof lower) return true;
  for (size_t i = 0; i <= length; i++)
    lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
  PyObject *key = PyUnicode_DecodeLatin1(lower, (Py_ssize_t)length, NULL);
  PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
  PyObject *before = key ? PyDict_GetItem(dict, key) : NULL;
  if (before && text) put(&text, PyUnicode_FromFormat("%U, %U", before, text));
  bool good = key && text && PyDict_SetItem(dict, key, text) == 0;
  Py_XDECREF(key);
  Py_XDECREF(text);
  return good;
}

static PyObject *get_headers(reply *r, void *unused) {
  (void)unused;
  const char *name, *value;
  PyObject *dict = PyDict_New();
  for (size_t i = 0; dict && ps_result_header_at(r->result, i, &name, &value); i++) {
    if (!add_header(dict, name, value)) Py_CLEAR(dict);
  }
  return dict;
}

static PyObject *get_body(reply *r, void *unused) {
  (void)unused;
  size_t length;
  const char *body = ps_result_body(r->result, &length);
  return PyBytes_FromStringAndSize(body, (Py_ssize_t)length);
}

static PyObject *get_ok(reply *r, void *unused) {
  (void)unused;
  return PyBool_FromLong(r->tree || ps_result_ok(r->result));
}

static PyObject *get_status(reply *r, void *unused) {
  (void)unused;
  return PyLong_FromLong(ps_result_status(r->result));
}

static PyObject *get_attempts(reply *r, void *unused) {
  (void)unused;
  return PyLong_FromLong(ps_result_attempts(r->result));
}

static PyObject *text_or_none(const char *s) {
  if (s && *s) return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "replace");
  Py_RETURN_NONE;
}

static PyObject *get_request_id(reply *r, void *unused) {
  (void)unused;
  return text_or_none(ps_result_request_id(r->result));
}

static PyObject *get_key(reply *r, void *unused) {
  (void)unused;
  return text_or_none(ps_result_idempotency_key(r->result));
}

static PyObject *get_notice(reply *r, void *unused) {
  (void)unused;
  return text_or_none(r->result ? ps_result_header(r->result, "Stripe-Notice") : NULL);
}

/* (kind, class, outcome, message, code) of an error. */
static PyObject *get_error(reply *r, void *unused) {
  (void)unused;
  ps_error kind = ps_error_kind(r->result);
  return Py_BuildValue("(sssNN)", ps_error_kind_name(kind), ps_error_class_name(kind),
                       ps_outcome_name(ps_error_outcome(r->result)), text_or_none(ps_error_message(r->result)),
                       text_or_none(ps_error_code(r->result)));
}

/* The server's error object, plain; None if there is none. */
static PyObject *get_error_data(reply *r, void *unused) {
  (void)unused;
  return make_plain(ps_error_data(r->result), NULL, true);
}

static PyObject *get_params(reply *r, void *unused) {
  (void)unused;
  return Py_NewRef(r->params ? r->params : Py_None);
}

static PyGetSetDef getters[] = {
  {"headers", (getter)get_headers, NULL, NULL, NULL},
  {"body", (getter)get_body, NULL, NULL, NULL},
  {"ok", (getter)get_ok, NULL, NULL, NULL},
  {"status", (getter)get_status, NULL, NULL, NULL},
  {"attempts", (getter)get_attempts, NULL, NULL, NULL},
  {"request_id", (getter)get_request_id, NULL, NULL, NULL},
  {"idempotency_key", (getter)get_key, NULL, NULL, NULL},
  {"notice", (getter)get_notice, NULL, NULL, NULL},
  {"error", (getter)get_error, NULL, NULL, NULL},
  {"error_data", (getter)get_error_data, NULL, NULL, NULL},
  {"params", (getter)get_params, NULL, NULL, NULL},
  {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
  {"object", (PyCFunction)reply_object, METH_VARARGS, NULL},
  {"read", (PyCFunction)read_as, METH_O, NULL},
  {"plain", (PyCFunction)reply_plain, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

bool add_reply(PyObject *module) {
  PyType_Slot slots[] = {
    SLOT(Py_tp_dealloc, dealloc), SLOT(Py_tp_traverse, traverse), SLOT(Py_tp_clear, clear),
    {Py_tp_getset, getters},      {Py_tp_methods, methods},       {0, NULL},
  };
  PyType_Spec spec = {
    .name = "pinstripe._core.Reply",
    .basicsize = sizeof(reply),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
  };
  reply_type = add_type(module, &spec, "Reply");
  return reply_type != NULL;
}
