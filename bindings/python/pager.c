/* The items of the pages after a list's own, for auto_paging_iter:
 *
 *   Pager ──▶ ps_iter     asks for the next page while half of this one is left
 *         ──▶ Reply       of the page at hand, taken from the iterator; its objects hold it too
 *
 * The GIL is let go only where a page may have to be waited for. */
#include "binding.h"

#include <string.h>

typedef struct pager {
  PyObject_HEAD ps_iter *iter;
  reply *page;       /* or NULL: none taken yet */
  reply *origin;     /* of the list that it goes on from */
  size_t left, half; /* of the page at hand */
  bool busy;         /* a thread is at work on it, and may have let go of the GIL */
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

/* Pager(client, list): an iterator over the items after those of the list */
static PyObject *pager_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords)) {
  PyObject *capsule;
  object *list;
  if (!PyArg_ParseTuple(args, "OO!", &capsule, object_type, &list)) return NULL;
  ps_client *client = from_capsule(capsule, "ps_client");
  if (!client) return NULL;
  if (!list->reply || !list->reply->result || !list->value) return PyErr_Format(PyExc_ValueError, "not a page");
  pager *p = allocate(type);
  if (!p) return NULL;
  p->origin = (reply *)Py_NewRef((PyObject *)list->reply);
  ps_value *place = place_of(list->value);
  ps_result *stub = ps_result_stub(list->reply->result, place);
  p->iter = ps_iter_from(client, stub, list->value == ps_data(list->reply->result) ? NULL : place);
  while (ps_iter_item(p->iter)) continue;
  ps_result_free(stub);
  ps_value_free(place);
  return (PyObject *)p;
}

/* ---- One thread at a time ---- */

bool hold(PyObject *owner) {
  pager *p = owner && Py_TYPE(owner) == pager_type ? (pager *)owner : NULL;
  bool good = !p || !p->busy;
  if (!good) PyErr_SetString(PyExc_RuntimeError, "another thread is fetching the next page of this iterator");
  if (p) p->busy = true;
  return good;
}

void let_go(PyObject *owner) {
  if (owner && Py_TYPE(owner) == pager_type) ((pager *)owner)->busy = false;
}

/* ---- Going on ---- */

static const ps_value *try_next(pager *p, int64_t max_ms, bool *waiting) {
  PyThreadState *thread = PyEval_SaveThread();
  const ps_value *item = ps_iter_try_next(p->iter, max_ms, waiting);
  PyEval_RestoreThread(thread);
  return item;
}

/* Takes the page that was just fetched. */
static bool take_page(pager *p) {
  ps_result *result = ps_iter_take_page(p->iter);
  if (!result) return true;
  reply *page = (reply *)new_reply(result);
  if (!page) return false;
  page->origin = Py_XNewRef(p->origin->origin);
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
    if (!look_around()) return NULL;
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
  Py_XDECREF((PyObject *)r);
  Py_XDECREF(none);
  return NULL;
}

static PyObject *make_item(pager *p, const ps_value *item) {
  const context at = {.reply = p->page, .item = true};
  return make_value(&at, item, ps_type_resolve(ps_iter_type(p->iter), item));
}

static PyObject *next_item(pager *p) {
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

static PyObject *next(pager *p) {
  if (!hold((PyObject *)p)) return NULL;
  PyObject *item = next_item(p);
  let_go((PyObject *)p);
  return item;
}

/* ---- The same for a driver in Python ---- */

static void release_owner(PyObject *capsule) { Py_DECREF((PyObject *)PyCapsule_GetContext(capsule)); }

PyObject *lend_exchange(ps_exchange *x, PyObject *owner) {
  if (!x) Py_RETURN_NONE;
  PyObject *capsule = PyCapsule_New(x, "ps_exchange", NULL);
  if (!capsule) return NULL;
  PyCapsule_SetContext(capsule, Py_NewRef(owner));
  PyCapsule_SetDestructor(capsule, release_owner);
  return capsule;
}

/* pager.exchange() → what fetches the next page, to be driven; None at the end */
static PyObject *exchange(pager *p, PyObject *Py_UNUSED(unused)) {
  if (!hold((PyObject *)p)) return NULL;
  let_go((PyObject *)p);
  return lend_exchange(ps_iter_exchange(p->iter), (PyObject *)p);
}

static PyObject *take_items(pager *p) {
  if (!ps_iter_feed(p->iter)) return raise_result(ps_iter_result(p->iter));
  if (!take_page(p)) return NULL;
  PyObject *items = PyList_New(0);
  for (const ps_value *item; items && (item = ps_iter_item(p->iter));) add_item(&items, make_item(p, item));
  p->left = 0;
  return items;
}

/* pager.feed() → the items of the page that was fetched, a list */
static PyObject *feed(pager *p, PyObject *Py_UNUSED(unused)) {
  if (!hold((PyObject *)p)) return NULL;
  PyObject *items = take_items(p);
  let_go((PyObject *)p);
  return items;
}

static PyMethodDef methods[] = {
  {"exchange", (PyCFunction)exchange, METH_NOARGS, NULL},
  {"feed", (PyCFunction)feed, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

bool add_pager(PyObject *module) {
  PyType_Slot slots[] = {
    SLOT(Py_tp_new, pager_new),
    SLOT(Py_tp_dealloc, dealloc),
    SLOT(Py_tp_traverse, traverse),
    SLOT(Py_tp_iter, PyObject_SelfIter),
    SLOT(Py_tp_iternext, next),
    {Py_tp_methods, methods},
    {0, NULL},
  };
  pager_type = add_type(module, "pinstripe._core.Pager", sizeof(pager), 0, slots);
  return pager_type != NULL;
}
