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

static const ps_value *reply_data(const reply *r) { return r->tree ? r->tree : ps_data(r->result); }

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
  put(&r->params, params == Py_None ? NULL : Py_NewRef(params));
  return read_as(r, class);
}

static PyObject *reply_plain(reply *r, PyObject *Py_UNUSED(unused)) { return make_plain(reply_data(r), NULL, true); }

void add_header(PyObject **pairs, const char *name, const char *value) {
  add_item(pairs, Py_BuildValue("(NN)", PyUnicode_DecodeLatin1(name, (Py_ssize_t)strlen(name), NULL),
                                PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL)));
}

static PyObject *get_headers(reply *r, void *Py_UNUSED(unused)) {
  const char *name, *value;
  PyObject *pairs = PyList_New(0);
  for (size_t i = 0; ps_result_header_at(r->result, i, &name, &value); i++) add_header(&pairs, name, value);
  return pairs;
}

static PyObject *get_body(reply *r, void *Py_UNUSED(unused)) {
  size_t length;
  const char *body = ps_result_body(r->result, &length);
  return PyBytes_FromStringAndSize(body, (Py_ssize_t)length);
}

static PyObject *text_or_none(const char *s) {
  if (s && *s) return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "replace");
  Py_RETURN_NONE;
}

/* As the messages of errors are: on one line, and its secrets starred. */
static PyObject *make_notice(const char *text) {
  if (!text || !*text) Py_RETURN_NONE;
  ps_value *line = ps_value_new();
  ps_value_fail(line, text);
  PyObject *notice = text_or_none(ps_value_error(line));
  ps_value_free(line);
  return notice;
}

/* (kind, class, outcome, message, code) of an error. */
static PyObject *make_error(const ps_result *failed) {
  ps_error kind = ps_error_kind(failed);
  return Py_BuildValue("(sssNN)", ps_error_kind_name(kind), ps_error_class_name(kind),
                       ps_outcome_name(ps_error_outcome(failed)), text_or_none(ps_error_message(failed)),
                       text_or_none(ps_error_code(failed)));
}

typedef enum { OK, STATUS, ATTEMPTS, KEY, NOTICE, ERROR, ERROR_DATA, PARAMS } fact;

/* What is one value; the server's error object as plain data. */
static PyObject *get_fact(reply *r, void *which) {
  switch ((fact)(uintptr_t)which) {
    case OK: return PyBool_FromLong(r->tree || ps_result_ok(r->result));
    case STATUS: return PyLong_FromLong(ps_result_status(r->result));
    case ATTEMPTS: return PyLong_FromLong(ps_result_attempts(r->result));
    case KEY: return text_or_none(ps_result_idempotency_key(r->result));
    case NOTICE: return make_notice(ps_result_header(r->result, "Stripe-Notice"));
    case ERROR: return make_error(r->result);
    case ERROR_DATA: return make_plain(ps_error_data(r->result), NULL, true);
    case PARAMS: return Py_NewRef(r->params ? r->params : Py_None);
  }
  Py_RETURN_NONE;
}

#define FACT(name, which)                                                                                              \
  { name, (getter)get_fact, NULL, NULL, (void *)(uintptr_t)(which) }

static PyGetSetDef getters[] = {
  {"headers", (getter)get_headers, NULL, NULL, NULL},
  {"body", (getter)get_body, NULL, NULL, NULL},
  FACT("ok", OK),
  FACT("status", STATUS),
  FACT("attempts", ATTEMPTS),
  FACT("idempotency_key", KEY),
  FACT("notice", NOTICE),
  FACT("error", ERROR),
  FACT("error_data", ERROR_DATA),
  FACT("params", PARAMS),
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
  reply_type = add_type(module, "pinstripe._core.Reply", sizeof(reply), Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
  return reply_type != NULL;
}
