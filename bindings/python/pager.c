/* The items of the pages after a list's own, for auto_paging_iter:
 *
 *   Pager ──▶ ps_iter     asks for the next page while half of this one is left
 *         ──▶ Reply       of the page at hand, taken from the iterator; its objects hold it too
 *
 * The GIL is let go only where a page may have to be waited for. */
#include "binding.h"

#include <string.h>

enum { SLICE_MS = 100 };

typedef struct pager {
  PyObject_HEAD ps_iter *iter;
  reply *page;       /* or NULL: none taken yet */
  reply *origin;     /* of the list that it goes on from */
  size_t left, half; /* of the page at hand */
} pager;

static PyTypeObject *pager_type;

static int traverse(pager *p, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(p));
  Py_VISIT((PyObject *)p->page);
  Py_VISIT((PyObject *)p->origin);
  return 0;
}

static void dealloc(pager *p) {
  PyObject_GC_UnTrack(p);
  ps_iter_free(p->iter);
  Py_XDECREF(p->page);
  Py_XDECREF(p->origin);
  release(p);
}

/* ---- Beginning ---- */

static void copy_member(ps_value *into, const ps_value *list, const char *name) {
  const ps_value *v = ps_map_get(list, name, strlen(name));
  if (v) ps_value_copy(ps_map_set(into, name), v);
}

/* Of a page only what tells where it stands: its first and its last item's id. */
static ps_value *place_of(const ps_value *list) {
  static const char *const names[] = {"object", "url", "has_more", "next_page", "next_page_url"};
  ps_value *place = ps_value_new(), *ends = ps_map_set(place, "data");
  ps_value_set_list(ends);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) copy_member(place, list, names[i]);
  const ps_value *data = ps_map_get(list, "data", 4);
  size_t count = ps_count(data);
  if (count) copy_member(ps_list_add(ends), ps_first(data), "id");
  if (count) copy_member(ps_list_add(ends), ps_list_get(data, count - 1), "id");
  return place;
}

/* core.pager(client, list) → an iterator over the items after those of the list */
static PyObject *core_pager(PyObject *self, PyObject *args) {
  PyObject *capsule, *list;
  (void)self;
  if (!PyArg_ParseTuple(args, "OO!", &capsule, object_type, &list)) return NULL;
  object *o = (object *)list;
  ps_client *client = from_capsule(capsule, "ps_client");
  if (!client) return NULL;
  if (!o->reply || !o->reply->result || !o->value) return PyErr_Format(PyExc_ValueError, "not a page of a call");
  pager *p = allocate(pager_type);
  if (!p) return NULL;
  p->origin = (reply *)Py_NewRef((PyObject *)o->reply);
  ps_value *place = place_of(o->value);
  ps_result *stub = ps_result_stub(o->reply->result, place);
  p->iter = ps_iter_from(client, stub, o->value == ps_data(o->reply->result) ? NULL : place);
  while (ps_iter_item(p->iter)) continue;
  ps_result_free(stub);
  ps_value_free(place);
  return (PyObject *)p;
}

/* ---- Going on ---- */

static const ps_value *try_next(pager *p, int64_t max_ms, bool *waiting) {
  const ps_value *item;
  Py_BEGIN_ALLOW_THREADS item = ps_iter_try_next(p->iter, max_ms, waiting);
  Py_END_ALLOW_THREADS return item;
}

/* Takes the page that was just fetched. */
static bool take_page(pager *p) {
  ps_result *result = ps_iter_take_page(p->iter);
  if (!result) return true;
  reply *page = (reply *)new_reply(result);
  if (!page) return false;
  page->origin = Py_NewRef(p->origin->origin);
  put((PyObject **)&p->page, (PyObject *)page);
  p->left = ps_count(ps_map_get(ps_data(result), "data", 4));
  p->half = p->left / 2;
  return true;
}

/* The item of a new page; NULL: the end, or an error is set. */
static const ps_value *fetch(pager *p) {
  bool waiting;
  for (;;) {
    const ps_value *item = try_next(p, SLICE_MS, &waiting);
    if (item || !waiting) return item;
    if (PyErr_CheckSignals() < 0) return NULL;
  }
}

PyObject *raise_result(const ps_result *failed) {
  static PyObject *kept;
  if (ps_error_kind(failed) == PS_ERROR_NONE) return NULL;
  PyObject *function = imported(&kept, "pinstripe._error", "raise_error");
  reply *r = function ? allocate(reply_type) : NULL;
  if (r) r->result = (ps_result *)(uintptr_t)failed; /* lent, and only read */
  PyObject *none = r ? PyObject_CallFunctionObjArgs(function, r, NULL) : NULL;
  if (r) r->result = NULL; /* the traceback may hold the reply for long */
  Py_XDECREF(function);
  Py_XDECREF((PyObject *)r);
  Py_XDECREF(none);
  return NULL;
}

static PyObject *make_item(pager *p, const ps_value *item) {
  const context at = {.reply = p->page, .item = true};
  return make_value(&at, item, ps_type_resolve(ps_iter_type(p->iter), item));
}

static PyObject *next(pager *p) {
  bool waiting, new_page = p->left == 0;
  const ps_value *item;
  if (new_page) item = fetch(p);
  else if (p->left == p->half) item = try_next(p, 0, &waiting);
  else item = ps_iter_item(p->iter);
  if (!item) return PyErr_Occurred() ? NULL : raise_result(ps_iter_result(p->iter));
  if (new_page && !take_page(p)) return NULL;
  p->left--;
  return make_item(p, item);
}

/* pager.begin(): asks for the page already, without waiting for it. */
static PyObject *begin(pager *p, PyObject *unused) {
  (void)unused;
  ps_exchange *x = p->left == 0 ? ps_iter_exchange(p->iter) : NULL;
  Py_BEGIN_ALLOW_THREADS if (x) ps_exchange_run(x, 0);
  Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

/* ---- The same for a driver in Python ---- */

static void let_go(PyObject *capsule) { Py_DECREF((PyObject *)PyCapsule_GetContext(capsule)); }

PyObject *lend_exchange(ps_exchange *x, PyObject *owner) {
  if (!x) Py_RETURN_NONE;
  PyObject *capsule = PyCapsule_New(x, "ps_exchange", NULL);
  if (!capsule) return NULL;
  PyCapsule_SetContext(capsule, Py_NewRef(owner));
  PyCapsule_SetDestructor(capsule, let_go);
  return capsule;
}

/* pager.exchange() → what fetches the next page, to be driven; None at the end */
static PyObject *exchange(pager *p, PyObject *unused) {
  (void)unused;
  return lend_exchange(ps_iter_exchange(p->iter), (PyObject *)p);
}

/* pager.feed() → the items of the page that was fetched, a list */
static PyObject *feed(pager *p, PyObject *unused) {
  (void)unused;
  if (!ps_iter_feed(p->iter)) return raise_result(ps_iter_result(p->iter));
  if (!take_page(p)) return NULL;
  PyObject *items = PyList_New(0);
  const ps_value *item;
  while (items && (item = ps_iter_item(p->iter))) {
    PyObject *o = make_item(p, item);
    if (!o || PyList_Append(items, o) < 0) Py_CLEAR(items);
    Py_XDECREF(o);
  }
  p->left = 0;
  return items;
}

static PyMethodDef methods[] = {
  {"exchange", (PyCFunction)exchange, METH_NOARGS, NULL},
  {"feed", (PyCFunction)feed, METH_NOARGS, NULL},
  {"begin", (PyCFunction)begin, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

static PyMethodDef functions[] = {
  {"pager", core_pager, METH_VARARGS, NULL},
  {NULL, NULL, 0, NULL},
};

bool add_pager(PyObject *module) {
  PyType_Slot slots[] = {
    SLOT(Py_tp_dealloc, dealloc), SLOT(Py_tp_traverse, traverse), SLOT(Py_tp_iter, PyObject_SelfIter),
    SLOT(Py_tp_iternext, next),   {Py_tp_methods, methods},       {0, NULL},
  };
  PyType_Spec spec = {
    .name = "pinstripe._core.Pager",
    .basicsize = sizeof(pager),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
  };
  pager_type = add_type(module, &spec, "Pager");
  return pager_type && PyModule_AddFunctions(module, functions) == 0;
}
