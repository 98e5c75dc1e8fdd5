/* What a driver in Python needs of an exchange, for clients with hooks, a log or a transport of their own: see
 * pinstripe/_drive.py. */
#include "binding.h"

#include <string.h>

static ps_exchange *to_exchange(PyObject *capsule) { return from_capsule(capsule, "ps_exchange"); }

/* core.read_body(exchange) → the body's next bytes, b"" at its end; None: it waits to be fed */
static PyObject *core_read_body(PyObject *Py_UNUSED(self), PyObject *capsule) {
  char piece[65536];
  ps_exchange *x = to_exchange(capsule);
  const ps_body *body = x ? ps_exchange_request(x)->body : NULL;
  if (!body) return PyErr_Occurred() ? NULL : PyBytes_FromString("");
  ptrdiff_t n = body->read(body->context, piece, sizeof piece);
  if (n == PS_BODY_LATER) Py_RETURN_NONE;
  if (n < 0) return PyErr_Format(PyExc_OSError, "the body of the request could not be read to its end");
  return PyBytes_FromStringAndSize(piece, n);
}

static PyObject *headers_of(const ps_http_request *request) {
  PyObject *pairs = PyList_New(0);
  for (size_t i = 0; i < request->header_count; i++) {
    add_header(&pairs, request->headers[i].name, request->headers[i].value);
  }
  return pairs;
}

/* core.request_of(exchange) → (method, url, [(name, value)], whether it has a body, timeout, connect_timeout) */
static PyObject *core_request_of(PyObject *Py_UNUSED(self), PyObject *capsule) {
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  const ps_http_request *request = ps_exchange_request(x);
  double timeout = request->timeout;
  if (request->deadline >= 0 && request->deadline < timeout) timeout = request->deadline;
  return Py_BuildValue("(ssNOdd)", request->method, request->url, headers_of(request),
                       request->body ? Py_True : Py_False, timeout, request->connect_timeout);
}

/* core.answer(exchange, status, {name: value}, body) */
static PyObject *core_answer(PyObject *Py_UNUSED(self), PyObject *args) {
  PyObject *capsule, *headers, *name, *value;
  const char *body;
  Py_ssize_t length, at = 0;
  int status;
  if (!PyArg_ParseTuple(args, "OiO!y#", &capsule, &status, &PyDict_Type, &headers, &body, &length)) return NULL;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  ps_http_response *response = ps_exchange_response(x);
  while (PyDict_Next(headers, &at, &name, &value)) {
    const char *n = PyUnicode_AsUTF8AndSize(name, NULL), *v = PyUnicode_AsUTF8AndSize(value, NULL);
    if (!n || !v) return NULL;
    ps_http_response_header(response, n, v);
  }
  ps_http_response_status(response, status);
  ps_http_response_write(response, body, (size_t)length);
  Py_RETURN_NONE;
}

/* core.event(exchange) → the next thing that happened, as a dict, or None */
static PyObject *core_event(PyObject *Py_UNUSED(self), PyObject *capsule) {
  static const char *const kinds[] = {"request", "response", "retry", "notice"};
  ps_exchange *x = to_exchange(capsule);
  const ps_call_event *e = x ? ps_exchange_event(x) : NULL;
  if (!x) return NULL;
  if (!e) Py_RETURN_NONE;
  char *line = ps_log_line(e);
  PyObject *event = Py_BuildValue("{ss ss ss ss ss si si sd ss ss ss}", "kind", kinds[e->kind], "level",
                                  ps_log_level_name(e->level), "operation", e->operation, "method", e->method, "path",
                                  e->path, "attempt", e->attempt, "status", e->status, "duration", e->duration,
                                  "request_id", e->request_id, "message", e->message, "line", line ? line : e->message);
  ps_free(line);
  return event;
}

PyMethodDef drive_functions[] = {
  {"request_of", core_request_of, METH_O, NULL},
  {"read_body", core_read_body, METH_O, NULL},
  {"answer", core_answer, METH_VARARGS, NULL},
  {"event", core_event, METH_O, NULL},
  {NULL, NULL, 0, NULL},
};
