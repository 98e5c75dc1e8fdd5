"""Objects: what PYTHON.md's programs rely on, over replies of a transport."""

import copy
import gc
import json
import pickle
import unittest
import weakref
from decimal import Decimal
from unittest import mock

import pinstripe
from pinstripe import _core
from support import KEY, Stage

CUSTOMER = {
    "id": "cus_1",
    "object": "customer",
    "email": None,
    "balance": 5,
    "address": {"city": "Oslo", "line1": "Å 1"},
    "metadata": {"keys": "mine", "order": "6735"},
    "preferred_locales": ["nb"],
    "sources": {"object": "list", "data": [{"object": "card", "id": "card_1"}], "has_more": False, "url": "/v1/x"},
}


def retrieve(value, service="customers", ident="cus_1"):
    return getattr(Stage(value).client().v1, service).retrieve(ident)


class Reading(unittest.TestCase):
    def setUp(self):
        self.customer = retrieve(CUSTOMER)

    def test_fields_are_attributes_and_items(self):
        c = self.customer
        self.assertEqual((c.balance, c["balance"], c.email), (5, 5, None))
        self.assertTrue("email" in c and "nothing" not in c and 5 not in c)
        with self.assertRaises(KeyError):
            c["nothing"]
        with self.assertRaises(AttributeError):
            c.nothing
        self.assertFalse(hasattr(c, "nothing"))

    def test_a_field_wins_over_a_method(self):
        subscription = retrieve(
            {"object": "subscription", "id": "sub_1", "items": {"object": "list", "data": []}, "update": 1},
            "subscriptions",
            "sub_1",
        )
        self.assertIsInstance(subscription.items, pinstripe.ListObject)
        self.assertEqual(subscription.update, 1)
        self.assertEqual(self.customer.metadata.keys, "mine")
        self.assertEqual(list(self.customer.keys())[:2], ["id", "object"])

    def test_classes(self):
        c = self.customer
        self.assertIs(type(c), pinstripe.Customer)
        self.assertIsInstance(c, pinstripe.StripeObject)
        self.assertIsInstance(c.address, pinstripe.Customer.Address)
        self.assertIsInstance(c.sources.data[0], pinstripe.Card)
        self.assertIs(type(c.metadata), pinstripe.StripeObject)
        self.assertNotIsInstance(c, dict)
        self.assertIs(type(retrieve({"object": "brand_new", "x": {"y": 1}})), pinstripe.StripeObject)
        from pinstripe.checkout import Session

        self.assertIs(type(retrieve({"object": "checkout.session", "id": "cs_1"})), Session)

    def test_a_map_of_objects_is_an_object(self):
        euro = {"unit_amount": 5, "unit_amount_decimal": "5.0"}
        price = retrieve({"object": "price", "currency_options": {"eur": euro}}, "prices")
        options = price.currency_options
        self.assertIsInstance(options, pinstripe.StripeObject)
        self.assertEqual((options["eur"].unit_amount, options.eur.unit_amount_decimal), (5, Decimal("5.0")))
        self.assertEqual([(name, option.unit_amount) for name, option in options.items()], [("eur", 5)])

    def test_fields_whose_name_python_keeps(self):
        o = retrieve({"object": "customer", "id": "cus_1", "from": "a", "in": {"is": 5}, "as_": 1})
        self.assertEqual((o.from_, o.in_.is_, o.as_), ("a", 5, 1))
        self.assertFalse(hasattr(o, "not_"))

    def test_what_can_be_changed_is_made_once(self):
        self.assertIs(self.customer.address, self.customer["address"])
        self.assertIs(self.customer.sources.data, self.customer.sources["data"])

    def test_iteration_and_dict(self):
        self.assertEqual(list(self.customer), list(CUSTOMER))
        self.assertEqual(dict(self.customer.address), CUSTOMER["address"])
        self.assertEqual(self.customer.get("balance"), 5)
        self.assertEqual(self.customer.get("none", 7), 7)

    def test_to_dict(self):
        self.assertEqual(self.customer.to_dict(), CUSTOMER)
        self.assertIs(type(self.customer.to_dict()["address"]), dict)
        shallow = self.customer.to_dict(recursive=False)
        self.assertIs(shallow["address"], self.customer.address)
        self.customer.address.city = "Bergen"
        self.assertEqual(self.customer.to_dict()["address"]["city"], "Bergen")
        self.assertEqual(self.customer.to_dict()["metadata"], CUSTOMER["metadata"])

    def test_numbers_and_decimals(self):
        price = retrieve(
            {"object": "price", "id": "p", "unit_amount_decimal": "0.10", "tax": 1.5, "big": 2**70}, "prices", "p"
        )
        self.assertEqual((price.unit_amount_decimal, price.tax, price.big), (Decimal("0.10"), 1.5, 2**70))
        self.assertIs(type(price.unit_amount_decimal), Decimal)
        self.assertEqual(price.to_dict()["unit_amount_decimal"], Decimal("0.10"))
        self.assertEqual(price.to_dict(for_json=True)["unit_amount_decimal"], "0.10")
        self.assertIn('"unit_amount_decimal": "0.10"', str(price))

    def test_integers_that_v2_sends_as_strings(self):
        value = {"object": "v2.commerce.product_catalog_import", "status_details": {"processing": {"error_count": "7"}}}
        found = pinstripe.StripeObject._build(value, None)
        self.assertEqual(found.status_details.processing.error_count, 7)
        found = pinstripe.v2.commerce.ProductCatalogImport.construct_from(value, None)
        self.assertEqual(found.to_dict()["status_details"]["processing"], {"error_count": 7})

    def test_names_for_completion_and_mocks(self):
        self.assertLessEqual({"balance", "email", "delete", "refresh_async", "create_tax_id"}, set(dir(self.customer)))
        self.assertLessEqual({"create", "search_async", "list_tax_ids"}, set(dir(pinstripe.Customer)))
        self.assertLessEqual({"mark_as_fraudulent", "auto_paging_iter"}, set(dir(pinstripe.Charge)))
        self.assertTrue(callable(mock.Mock(spec=pinstripe.Customer).modify))
        double = mock.create_autospec(pinstripe.Customer)
        double.create.return_value = 5
        self.assertEqual(double.create(email="x"), 5)
        with self.assertRaises(AttributeError):
            double.crate(email="x")

    def test_text_forms(self):
        text = str(self.customer.address)
        self.assertEqual(text, '{\n  "city": "Oslo",\n  "line1": "\\u00c5 1"\n}')
        self.assertRegex(repr(self.customer), r"^<Customer customer id=cus_1 at 0x[0-9a-f]+> JSON: \{\n")
        self.assertNotIn(KEY, repr(self.customer))
        named = retrieve({"object": "customer", "id": "cus_2", "metadata": {"get": "1", "id": "x"}, "get": 5})
        self.assertRegex(repr(named), "^<Customer customer id=cus_2 at")
        self.assertRegex(repr(named.metadata), "^<StripeObject id=x at")

    def test_equal_only_to_its_class(self):
        other = retrieve(CUSTOMER)
        self.assertEqual(self.customer, other)
        self.assertNotEqual(self.customer, CUSTOMER)
        other.balance = 6
        self.assertNotEqual(self.customer, other)
        self.assertNotEqual(self.customer.address, retrieve(CUSTOMER["address"]))
        with self.assertRaises(TypeError):
            hash(self.customer)
        self.assertTrue(retrieve({}))

    def test_last_response(self):
        response = self.customer.last_response
        self.assertEqual((response.code, response.request_id, response.headers["REQUEST-ID"]), (200, "req_1", "req_1"))
        self.assertEqual(response.data, CUSTOMER)
        self.assertIsNone(self.customer.address.last_response)
        self.assertIsNone(pinstripe.Customer("cus_1").last_response)

    def test_the_text_goes_with_the_object_that_shows_it(self):
        customer, address = self.customer, self.customer.address
        reply, other = _core.state(customer, "last"), copy.copy(customer)
        del customer, self.customer
        self.assertTrue(reply.body)
        self.assertEqual(other.last_response.data, CUSTOMER)
        self.assertIs(_core.adopt(other, other), other)
        self.assertEqual(other.last_response.data, CUSTOMER)
        _core.adopt(other, pinstripe.Customer("cus_2"))
        self.assertEqual(reply.body, b"")
        self.assertEqual((address.city, address.line1), ("Oslo", "Å 1"))

    def test_odd_texts(self):
        value = {"object": "x", "nul": "a\0b", "": 1, "é": "ü", "__class__": "kept", "deep": [[{"a": []}]]}
        o = retrieve(value)
        self.assertEqual((o.nul, o[""], o["é"], o.é, o["__class__"]), ("a\0b", 1, "ü", "ü", "kept"))
        self.assertIs(o.__class__, pinstripe.StripeObject)
        self.assertEqual(o.to_dict(), value)


class Changing(unittest.TestCase):
    def setUp(self):
        self.stage = Stage(CUSTOMER, {**CUSTOMER, "balance": 9})
        self.customer = self.stage.client().v1.customers.retrieve("cus_1")

    def test_assignment_and_deletion(self):
        c = self.customer
        c.balance = 7
        c["new"] = [1]
        del c.email
        del c["preferred_locales"]
        self.assertEqual((c.balance, c.new, "email" in c), (7, [1], False))
        with self.assertRaises(AttributeError):
            del c.email
        with self.assertRaises(KeyError):
            del c["email"]
        with self.assertRaisesRegex(ValueError, "empty string"):
            c.description = ""

    def test_save_sends_what_changed(self):
        c = self.customer
        c.description = None
        c.metadata = {"order": "1"}
        c.address.city = "Bergen"
        del c.email  # is not sent: to unset it, it is assigned None
        self.assertIs(c.save(), c)
        body = self.stage.requests[1].body.decode()
        self.assertEqual(
            sorted(body.split("&")), ["address[city]=Bergen", "description=", "metadata[keys]=", "metadata[order]=1"]
        )
        self.assertEqual(self.stage.requests[1].url, "https://api.stripe.com/v1/customers/cus_1")
        self.assertEqual((c.balance, c.address.city), (9, "Oslo"))
        self.assertEqual(c.serialize(), {})
        c.save()  # sends nothing

    def test_a_name_with_an_underscore_is_the_program_s_and_not_sent(self):
        stage = Stage(CUSTOMER, CUSTOMER)
        customer = stage.client().v1.customers.retrieve("cus_1")
        customer._cached, customer.name = "gold", "B"
        self.assertEqual(customer._cached, "gold")
        customer._cached = ""
        customer["_item"] = 5
        self.assertNotIn("_cached", customer)
        self.assertNotIn("_cached", customer.to_dict())
        customer.save()
        self.assertEqual((stage.requests[1].body, customer._cached), (b"name=B", ""))
        del customer._cached
        for name in ("_cached", "_id", "__nothing__"):
            with self.assertRaises(AttributeError):
                getattr(customer, name)

    def test_an_empty_answer_to_save(self):
        customer = Stage(CUSTOMER, (200, {}, b"")).client().v1.customers.retrieve("cus_1")
        customer.description = "d"
        with self.assertRaises(pinstripe.APIError) as caught:
            customer.save()
        self.assertEqual((caught.exception.outcome, customer.description), ("unknown", "d"))

    def test_a_field_that_refreshes_its_object_while_it_is_read(self):
        def fill(o):
            for n in range(20):
                o[f"f{n}"] = Odd()

        class Odd:
            def __str__(self):
                for o in objects:
                    o.refresh_from({"id": "cus_2"}, "k")
                self.junk = [{str(n): n for n in range(5)} for _ in range(100)]
                return "odd"

            def __eq__(self, other):
                return str(self) == "odd"

        objects = [pinstripe.Customer.construct_from({"id": "cus_1"}, "k") for _ in range(2)]
        for _ in range(20):
            for o in objects:
                fill(o)
            self.assertEqual(json.loads(str(objects[0]))["f19"], "odd")
            for o in objects:
                fill(o)
            self.assertEqual(*objects)

    def test_refresh_in_place(self):
        address = self.customer.address
        self.assertIs(self.customer.refresh(), self.customer)
        self.assertEqual((self.customer.balance, address.city), (9, "Oslo"))

    def test_refresh_from_and_update(self):
        self.customer.refresh_from({"id": "cus_1", "balance": 1}, "sk_test_other")
        self.assertEqual((self.customer.balance, "email" in self.customer), (1, False))
        self.assertEqual(self.customer.api_key, "sk_test_other")
        self.customer.update({"balance": 2})
        self.assertEqual(self.customer.serialize(), {"balance": 2})
        self.customer.update({"email": ""})
        self.assertEqual((self.customer.email, self.customer.serialize()), (None, {"balance": 2, "email": ""}))

    def test_parts_are_saved_with_their_owner(self):
        customer = {"id": "cus_1", "object": "customer", "cash_balance": {"object": "cash_balance", "settings": {}}}
        account = {"id": "acct_1", "object": "account", "individual": {"id": "person_1", "object": "person"}}
        stage = Stage(customer, account)
        customer, account = (stage.client().deserialize(value) for value in (customer, account))
        customer.cash_balance.settings.reconciliation_mode = "manual"
        account.individual.first_name = "A"
        customer.save()
        account.save()
        bodies = [request.body for request in stage.requests]
        self.assertEqual(bodies, [b"cash_balance[settings][reconciliation_mode]=manual", b"individual[first_name]=A"])


class Copies(unittest.TestCase):
    def setUp(self):
        self.customer = retrieve(CUSTOMER)

    def test_copy(self):
        shallow, deep = copy.copy(self.customer), copy.deepcopy(self.customer)
        self.assertEqual((shallow, deep), (self.customer, self.customer))
        deep.address.city = shallow.balance = "x"
        self.assertEqual((self.customer.address.city, self.customer.balance), ("Oslo", 5))
        self.assertEqual(shallow.api_key, KEY)

    def test_pickle_never_holds_a_key(self):
        _ = self.customer.address
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(self.customer, protocol)
            self.assertNotIn(KEY.encode(), data)
            again = pickle.loads(data)
            self.assertEqual(again, self.customer)
            self.assertIs(type(again.address), pinstripe.Customer.Address)
            self.assertIsNone(again.last_response)

    def test_an_unpickled_object_uses_the_global_configuration(self):
        again = pickle.loads(pickle.dumps(self.customer))
        self.assertIsNone(again.api_key)
        with self.assertRaises(pinstripe.AuthenticationError):
            again.refresh()

    def test_construct_from(self):
        c = pinstripe.Customer.construct_from(CUSTOMER, "sk_test_2")
        self.assertEqual((c.to_dict(), c.api_key), (CUSTOMER, "sk_test_2"))
        self.assertIsInstance(c.address, pinstripe.Customer.Address)
        event = pinstripe.Event.construct_from({"id": "evt_1", "object": "event", "data": {"object": c}}, None)
        self.assertIsInstance(event.data.object, pinstripe.Customer)
        found = pinstripe.convert_to_stripe_object([CUSTOMER, 5])
        self.assertEqual((type(found[0]), found[1]), (pinstripe.Customer, 5))
        with self.assertRaisesRegex(TypeError, "values.x"):
            pinstripe.Customer.construct_from({"x": object()}, None)

    def test_a_float_stays_one(self):
        values = {"a": 20.0, "b": -0.0, "c": 1e300, "d": 0.1, "e": 5e-324, "f": [2.0]}
        c = pinstripe.Customer.construct_from(values, None)
        self.assertEqual(json.dumps(c.to_dict()), json.dumps(values))
        self.assertEqual(repr((c.a, c.b, c.f)), "(20.0, -0.0, [2.0])")

    def test_weak_references_and_collection(self):
        reference = weakref.ref(self.customer)
        self.customer.myself = self.customer
        self.customer = None
        gc.collect()
        self.assertIsNone(reference())

    def test_children_outlive_their_parents(self):
        card = retrieve(CUSTOMER).sources.data[0]
        gc.collect()
        self.assertEqual(card.id, "card_1")


if __name__ == "__main__":
    unittest.main()
