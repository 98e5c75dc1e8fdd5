/* What a driver in Python needs of an exchange, for clients with hooks, a log or a transport of their own: see
 * pinstripe/_drive.py. */
#include "binding.h"

#include <string.h>

static ps_exchange *to_exchange(PyObject *capsule) { return from_capsule(capsule, "ps_exchange"); }

static PyObject *read_body(const ps_body *body) {
  enum { PIECE = 65536 };
  char piece[PIECE];
  ptrdiff_t n = 0;
  if (!body) Py_RETURN_NONE;
  PyObject *bytes = PyByteArray_FromStringAndSize(NULL, 0);
  while (bytes && (n = body->read(body->context, piece, PIECE)) > 0) {
    Py_ssize_t length = PyByteArray_Size(bytes);
    if (PyByteArray_Resize(bytes, length + n) < 0) Py_CLEAR(bytes);
    else memcpy(PyByteArray_AsString(bytes) + length, piece, (size_t)n);
  }
  if (bytes && n < 0) {
    PyErr_SetString(PyExc_OSError, "the body of the request could not be read to its end");
    Py_CLEAR(bytes);
  }
  PyObject *whole = bytes ? PyBytes_FromObject(bytes) : NULL;
  Py_XDECREF(bytes);
  return whole;
}

static PyObject *headers_of(const ps_http_request *request) {
  PyObject *headers = PyDict_New();
  for (size_t i = 0; headers && i < request->header_count; i++) {
    const char *value = request->headers[i].value;
    PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
    if (!text || PyDict_SetItemString(headers, request->headers[i].name, text) < 0) Py_CLEAR(headers);
    Py_XDECREF(text);
  }
  return headers;
}

/* core.request_of(exchange) → (method, url, headers, body or None, timeout, connect_timeout) */
PyObject *core_request_of(PyObject *self, PyObject *capsule) {
  (void)self;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  const ps_http_request *request = ps_exchange_request(x);
  double timeout = request->timeout;
  if (request->deadline >= 0 && request->deadline < timeout) timeout = request->deadline;
  return Py_BuildValue("(ssNNdd)", request->method, request->url, headers_of(request), read_body(request->body),
                       timeout, request->connect_timeout);
}

/* core.answer(exchange, status, [(name, value)], body) */
PyObject *core_answer(PyObject *self, PyObject *args) {
  PyObject *capsule, *headers, *name, *value;
  const char *body;
  Py_ssize_t length, at = 0;
  int status;
  (void)self;
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

/* core.fail(exchange, reason, is it a timeout, was certainly nothing sent) */
PyObject *core_fail(PyObject *self, PyObject *args) {
  PyObject *capsule;
  const char *reason;
  int timeout, not_sent;
  (void)self;
  if (!PyArg_ParseTuple(args, "Ospp", &capsule, &reason, &timeout, &not_sent)) return NULL;
  ps_exchange *x = to_exchange(capsule);
  if (!x) return NULL;
  ps_http_response_fail(ps_exchange_response(x), timeout ? PS_ERROR_TIMEOUT : PS_ERROR_CONNECTION,
                        not_sent ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN, reason);
  Py_RETURN_NONE;
}

/* core.event(exchange) → the next thing that happened, as a dict, or None */
PyObject *core_event(PyObject *self, PyObject *capsule) {
  static const char *const kinds[] = {"request", "response", "retry", "notice"};
  (void)self;
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
