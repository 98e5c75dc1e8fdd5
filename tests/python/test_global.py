"""The global style: the module's configuration, class methods and instance methods."""

import asyncio
import inspect
import json
import pickle
import sys
import threading
import unittest
import warnings
from unittest import mock

import pinstripe
from pinstripe import _core, _resource
from support import KEY, Stage


class Global(unittest.TestCase):
    def setUp(self):
        self.stage = Stage()
        self.send = lambda method, url, headers, post_data=None: self.answer(method, url, headers, post_data)
        client = type("Client", (pinstripe.HTTPClient,), {"request": lambda _, *args: self.send(*args)})
        pinstripe.api_key, pinstripe.default_http_client = KEY, client()
        self.replies, self.sent = [], []
        self.addCleanup(setattr, pinstripe, "api_key", None)
        self.addCleanup(setattr, pinstripe, "default_http_client", None)

    def answer(self, method, url, headers, post_data):
        self.sent.append((method, url.partition("stripe.com")[2], post_data or "", headers))
        return self.replies.pop(0) if self.replies else "{}", 200, {}

    def check(self, call, *expected, reply=None):
        self.replies = [reply] if reply else []
        found = call()
        self.assertEqual(self.sent.pop()[: len(expected)], expected)
        return found

    def test_what_is_retrieved_is_of_its_class_whatever_the_reply_says(self):
        charge = pinstripe.Charge.retrieve("ch_1")
        self.assertIs(type(charge), pinstripe.Charge)
        self.replies = ['{"id": "ch_1", "amount": 5}', '{"id": "ch_1", "amount": 6, "object": "charge"}']
        charge = asyncio.run(pinstripe.Charge.retrieve_async("ch_1"))
        self.assertEqual((type(charge), charge.amount, charge.last_response.code), (pinstripe.Charge, 5, 200))
        self.assertEqual(charge.refresh().amount, 6)
        self.assertIsNot(type(pinstripe.Customer.retrieve_payment_method("cus_1", "pm_1")), pinstripe.Customer)

    def test_refresh_asks_with_the_params_of_the_retrieval_whatever_was_done_since(self):
        intent = '{"id": "pi_1", "object": "payment_intent", "description": "old"}'
        asked = "get", "/v1/payment_intents/pi_1?expand[0]=customer"
        for made in (pinstripe.PaymentIntent.retrieve, pinstripe.PaymentIntent):
            self.replies = [intent] * 5
            found = made("pi_1", expand=["customer"])
            found.refresh()
            self.assertEqual(self.sent.pop()[:2], asked)
            found.confirm(return_url="https://example.com", expand=["latest_charge"])
            found.description = "new"
            found.save()
            found.refresh()
            self.assertEqual(self.sent.pop()[:2], asked)

    def test_refresh_of_a_list_s_item_sends_nothing_of_the_list_s(self):
        item = {"id": "pi_1", "object": "payment_intent"}
        page = {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": [item]}
        self.replies = [json.dumps(page), *[json.dumps(item)] * 4]
        found = pinstripe.PaymentIntent.list(limit=1, expand=["data.customer"]).data[0]
        found.confirm(expand=["latest_charge"])
        found.refresh()
        self.assertEqual(self.sent.pop()[:2], ("get", "/v1/payment_intents/pi_1"))
        found.description = "new"
        found.save()
        found.refresh()
        self.assertEqual(self.sent.pop()[:2], ("get", "/v1/payment_intents/pi_1"))

    def test_refresh_sends_nothing_of_what_was_saved(self):
        self.replies = ['{"id": "cus_1", "object": "customer"}'] * 3
        customer = pinstripe.Customer.create(name="Jenny", expand=["sources"])
        customer.name = "Rosen"
        customer.save()
        customer.refresh()
        self.assertEqual(self.sent.pop()[:2], ("get", "/v1/customers/cus_1"))

    def test_what_was_only_named_has_no_response(self):
        self.assertIsNone(pinstripe.Customer("cus_1", expand=["sources"]).last_response)

    def test_methods_are_functions_that_can_be_mocked_compared_and_pickled(self):
        method = pinstripe.Customer.retrieve
        self.assertEqual(method, pinstripe.Customer.retrieve)
        self.assertEqual((method.__name__, method.__self__), ("retrieve", pinstripe.Customer))
        self.assertEqual(pickle.loads(pickle.dumps(method)), method)
        self.assertTrue(inspect.iscoroutinefunction(pinstripe.Customer.modify_async))
        with mock.patch.object(pinstripe.Customer, "create_async", return_value=1):
            self.assertEqual(asyncio.run(pinstripe.Customer.create_async(email="a")), 1)
        with mock.patch.object(pinstripe.Customer, "create", autospec=True, return_value=1) as create:
            self.assertEqual(pinstripe.Customer.create(email="a"), 1)
        create.assert_called_once_with(email="a")
        self.assertEqual(self.sent, [])

    def test_an_http_client_whose_request_is_set_on_it_sends_nothing_else(self):
        client = pinstripe.RequestsClient()
        client.request = self.answer
        pinstripe.default_http_client = client
        self.check(lambda: pinstripe.Customer.retrieve("cus_1"), "get", "/v1/customers/cus_1")

    def test_what_is_retrieved_is_of_a_class_of_the_program_s_own(self):
        class Mine(pinstripe.Customer):
            def greet(self):
                return f"Dear {self.name}"

        self.replies = ['{"id": "cus_1", "object": "customer", "name": "Jenny"}']
        mine = Mine.retrieve("cus_1")
        self.assertEqual((type(mine), mine.greet(), mine.last_response.code), (Mine, "Dear Jenny", 200))

    def test_class_methods(self):
        c = pinstripe
        for call, *expected in [
            (lambda: c.Customer.create(email="a"), "post", "/v1/customers", "email=a"),
            (lambda: c.Customer.retrieve("cus_1", expand=["x"]), "get", "/v1/customers/cus_1?expand[0]=x"),
            (lambda: c.Customer.retrieve(id="cus_1"), "get", "/v1/customers/cus_1"),
            (lambda: c.Customer.modify("cus_1", name="n"), "post", "/v1/customers/cus_1", "name=n"),
            (lambda: c.Customer.delete("cus_1"), "delete", "/v1/customers/cus_1"),
            (lambda: c.Customer.list(limit=1), "get", "/v1/customers?limit=1"),
            (lambda: c.Customer.search(query="q"), "get", "/v1/customers/search?query=q"),
            (
                lambda: c.Customer.create_tax_id("cus_1", type="eu_vat", value="1"),
                "post",
                "/v1/customers/cus_1/tax_ids",
            ),
            (lambda: c.Customer.list_payment_methods("cus_1"), "get", "/v1/customers/cus_1/payment_methods"),
            (
                lambda: c.Customer.retrieve_payment_method("cus_1", "pm_1"),
                "get",
                "/v1/customers/cus_1/payment_methods/pm_1",
            ),
            (lambda: c.Account.create_person("acct_1"), "post", "/v1/accounts/acct_1/persons"),
            (lambda: c.Account.retrieve(), "get", "/v1/account"),
            (lambda: c.Account.retrieve("acct_1"), "get", "/v1/accounts/acct_1"),
            (lambda: c.Account.persons("acct_1"), "get", "/v1/accounts/acct_1/persons"),
            (lambda: c.PaymentIntent.confirm("pi_1"), "post", "/v1/payment_intents/pi_1/confirm"),
            (lambda: c.Invoice.list_lines("in_1"), "get", "/v1/invoices/in_1/lines"),
            (lambda: c.CreditNote.preview_lines(invoice="in_1"), "get", "/v1/credit_notes/preview/lines?invoice=in_1"),
            (lambda: c.Customer.list_sources("cus_1"), "get", "/v1/customers/cus_1/sources"),
            (lambda: c.Customer.delete_source("cus_1", "card_1"), "delete", "/v1/customers/cus_1/sources/card_1"),
            (lambda: c.Source.list_source_transactions("src_1"), "get", "/v1/sources/src_1/source_transactions"),
            (lambda: c.ApplicationFee.refund("fee_1"), "post", "/v1/application_fees/fee_1/refunds"),
            (lambda: c.InvoiceItem.create(customer="c"), "post", "/v1/invoiceitems", "customer=c"),
            (lambda: c.checkout.Session.expire("cs_1"), "post", "/v1/checkout/sessions/cs_1/expire"),
            (
                lambda: c.treasury.FinancialAccount.update_features("fa_1"),
                "post",
                "/v1/treasury/financial_accounts/fa_1/features",
            ),
            (lambda: c.Refund.TestHelpers.expire("re_1"), "post", "/v1/test_helpers/refunds/re_1/expire"),
            (lambda: c.Balance.retrieve(), "get", "/v1/balance"),
        ]:
            with self.subTest(expected=expected):
                self.check(call, *expected)

    def test_instance_methods(self):
        pi = pinstripe.PaymentIntent.construct_from({"id": "pi_1", "object": "payment_intent", "status": "x"}, KEY)
        reply = '{"id": "pi_1", "object": "payment_intent", "status": "succeeded"}'
        for name in ("confirm", "capture", "cancel"):
            found = self.check(getattr(pi, name), "post", f"/v1/payment_intents/pi_1/{name}", "", reply=reply)
            self.assertIs(found, pi)
            self.assertEqual(pi.status, "succeeded")
        self.assertIs(self.check(pi.refresh, "get", "/v1/payment_intents/pi_1", reply=reply), pi)
        self.check(
            lambda: pinstripe.PaymentIntent.confirm(pi, off_session=True),
            "post",
            "/v1/payment_intents/pi_1/confirm",
            "off_session=true",
            reply=reply,
        )
        refund = pinstripe.Refund.construct_from({"id": "re_1", "object": "refund"}, KEY)
        self.check(refund.test_helpers.expire, "post", "/v1/test_helpers/refunds/re_1/expire")
        charge = pinstripe.Charge.construct_from({"id": "ch_1", "object": "charge"}, KEY)
        self.check(charge.mark_as_fraudulent, "post", "/v1/charges/ch_1", "fraud_details[user_report]=fraudulent")
        source = pinstripe.Source.construct_from({"id": "src_1", "object": "source", "customer": "cus_1"}, KEY)
        self.check(source.detach, "delete", "/v1/customers/cus_1/sources/src_1")
        bank = pinstripe.BankAccount.construct_from({"id": "ba_1", "object": "bank_account", "customer": "cus_1"}, KEY)
        self.check(lambda: bank.verify(amounts=[1, 2]), "post", "/v1/customers/cus_1/sources/ba_1/verify")
        self.check(lambda: asyncio.run(source.detach_async()), "delete", "/v1/customers/cus_1/sources/src_1")
        account = pinstripe.Account.construct_from({"id": "acct_1", "object": "account"}, KEY)
        self.check(
            lambda: account.deauthorize(client_id="ca_1"),
            "post",
            "/oauth/deauthorize",
            "stripe_user_id=acct_1&client_id=ca_1",
        )
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "not appear to be currently attached"):
            pinstripe.Source.construct_from({"id": "src_1", "object": "source"}, KEY).detach()
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "invalid ID"):
            pinstripe.Customer().refresh()
        for call in (lambda: pinstripe.Customer.retrieve(None), lambda: pinstripe.Customer.retrieve(id=None)):
            with self.assertRaisesRegex(pinstripe.InvalidRequestError, "customer is an invalid ID: None"):
                call()
        with self.assertRaisesRegex(TypeError, r"needs 1 id \(customer\)"):
            pinstripe.Customer.retrieve()

    def test_deleting_updates_in_place(self):
        customer = pinstripe.Customer.construct_from({"id": "cus_1", "object": "customer", "email": "a"}, KEY)
        found = self.check(
            customer.delete, "delete", "/v1/customers/cus_1", reply='{"id":"cus_1","object":"customer","deleted":true}'
        )
        self.assertIs(found, customer)
        self.assertTrue(customer.deleted)
        self.assertNotIn("email", customer)

    def test_options_among_the_params(self):
        self.check(
            lambda: pinstripe.Customer.create(
                email="a",
                api_key="sk_test_2",
                stripe_account="acct_1",
                idempotency_key="k",
                stripe_version="v",
                timeout=5,
            ),
            "post",
            "/v1/customers",
            "email=a",
        )
        customer = None
        self.replies = ['{"id": "cus_1", "object": "customer"}'] * 2
        customer = pinstripe.Customer.retrieve("cus_1", api_key="sk_test_2", stripe_account="acct_1")
        self.assertEqual((customer.api_key, customer.stripe_account), ("sk_test_2", "acct_1"))
        customer.refresh()
        headers = self.sent[-1][3]
        self.assertEqual((headers["Authorization"], headers["Stripe-Account"]), ("Bearer sk_test_2", "acct_1"))

    def test_the_configuration_is_that_of_each_call(self):
        pinstripe.app_info = {"name": "One"}
        self.addCleanup(setattr, pinstripe, "app_info", None)
        self.addCleanup(setattr, pinstripe, "verify_ssl_certs", True)
        pinstripe.verify_ssl_certs = False  # the business of a client of one's own
        pinstripe.Balance.retrieve()
        pinstripe.app_info["name"] = "Two"
        pinstripe.Balance.retrieve()
        pinstripe.api_key = "sk_test_other"
        pinstripe.Balance.retrieve()
        found = [(sent[3]["User-Agent"].split()[-1], sent[3]["Authorization"]) for sent in self.sent]
        other = "Bearer sk_test_other"
        self.assertEqual(found, [("One", f"Bearer {KEY}"), ("Two", f"Bearer {KEY}"), ("Two", other)])
        pinstripe.default_http_client = None
        with self.assertRaisesRegex(ValueError, "verify_ssl_certs must be True"):
            pinstripe.Balance.retrieve()

    def keys_of(self, *calls):
        """The keys that the calls were sent with."""
        for call in calls:
            call()
        return [sent[3]["Authorization"].rpartition(" ")[2] for sent in self.sent[-len(calls) :]]

    def test_what_was_answered_keeps_the_configuration_of_its_call(self):
        page = (
            '{"object": "list", "url": "/v1/charges", "has_more": true, "data": [{"id": "ch_1", "object": "charge"}]}'
        )
        intent = '{"id": "pi_1", "object": "payment_intent"}'
        self.replies = [intent, page, intent, intent, page, page.replace("true", "false")]
        held, charges = pinstripe.PaymentIntent.create(), pinstripe.Charge.list()
        later = asyncio.run(self.retrieve_async())
        for key in ("sk_test_other", None):
            pinstripe.api_key = key
            self.assertEqual((held.api_key, later.api_key), (KEY, KEY))
        pinstripe.api_key = "sk_test_other"
        self.assertEqual(
            self.keys_of(held.confirm, charges.next_page, lambda: list(charges.auto_paging_iter())), [KEY] * 3
        )
        self.assertEqual(self.keys_of(lambda: pinstripe.Charge.list()), ["sk_test_other"])

    async def retrieve_async(self):
        return await pinstripe.PaymentIntent.retrieve_async("pi_1")

    def test_the_configuration_may_change_while_a_call_is_under_way(self):
        def send(*args):
            pinstripe.api_key = "sk_test_other"
            return '{"id": "pi_1", "object": "payment_intent"}', 200, {}

        for retrieve in (lambda: asyncio.run(self.retrieve_async()), lambda: pinstripe.PaymentIntent.retrieve("pi_1")):
            self.send, pinstripe.api_key = send, KEY
            self.assertEqual(retrieve().api_key, KEY)
            self.assertEqual(pinstripe.api_key, "sk_test_other")

    def test_many_configurations_in_many_threads(self):
        def change(n):
            try:
                for i in range(200):
                    pinstripe.api_key = f"sk_test_{(n * 7 + i) % 60}"
                    pinstripe.Balance.retrieve()
            except Exception as e:
                failures.append(e)

        failures, interval = [], sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-5)
        threads = [threading.Thread(target=change, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_what_needs_no_id_is_the_class_s_whoever_is_asked(self):
        self.replies = [f'{{"id": "pi_{n}", "object": "payment_intent"}}' for n in range(2)]
        first = pinstripe.PaymentIntent.create()
        self.assertEqual((first.create(amount=5).id, first.id), ("pi_1", "pi_0"))

    def test_the_options_of_one_call_are_not_the_object_s(self):
        self.replies = ['{"id": "pi_1", "object": "payment_intent"}'] * 3
        intent = pinstripe.PaymentIntent.create()
        intent.confirm(stripe_account="acct_2").capture()
        self.assertEqual(self.sent[1][3]["Stripe-Account"], "acct_2")
        self.assertNotIn("Stripe-Account", self.sent[2][3])
        self.assertIsNone(intent.stripe_account)

    def test_a_parameter_called_options(self):
        self.check(
            lambda: pinstripe.identity.VerificationSession.create(options={"document": {"require_id_number": True}}),
            "post",
            "/v1/identity/verification_sessions",
            "options[document][require_id_number]=true",
        )

    def test_asyncio_and_pages(self):
        data = '[{"id": "cus_1", "object": "customer"}]'
        reply = '{"object": "list", "url": "/v1/customers", "has_more": false, "data": ' + data + "}"
        found = self.check(
            lambda: asyncio.run(pinstripe.Customer.list_async(limit=2)), "get", "/v1/customers?limit=2", reply=reply
        )
        self.assertIsInstance(found.data[0], pinstripe.Customer)
        self.check(lambda: self.assertEqual(len(list(pinstripe.Customer.auto_paging_iter())), 1), "get", reply=reply)

    def test_configuration_is_read_at_each_call(self):
        pinstripe.api_version = "2020-01-01"
        self.addCleanup(setattr, pinstripe, "api_version", _core.api_version())
        pinstripe.set_app_info("App", version="2", url="https://app.example")
        self.addCleanup(setattr, pinstripe, "app_info", None)
        pinstripe.Balance.retrieve()
        headers = self.sent[-1][3]
        self.assertEqual(headers["Stripe-Version"], "2020-01-01")
        self.assertIn("App/2 (https://app.example)", headers["User-Agent"])
        pinstripe.api_key = None
        with self.assertRaisesRegex(pinstripe.AuthenticationError, "No API key"):
            pinstripe.Balance.retrieve()
        pinstripe.Balance.retrieve(api_key="sk_test_3")

    def test_an_unknown_setting_warns(self):
        with self.assertWarnsRegex(UserWarning, "api_kye"):
            pinstripe.api_kye = "x"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pinstripe.max_network_retries = 2
            pinstripe.log = None

    def test_no_method_where_the_table_has_none(self):
        for owner, name in [
            (pinstripe.Balance, "create"),
            (pinstripe.Customer, "nonsense"),
            (pinstripe.Customer, "Nonsense"),
            (pinstripe.checkout, "Nonsense"),
            (pinstripe, "Nonsense"),
            (pinstripe.Customer(), "confirm"),
        ]:
            with self.subTest(name=name), self.assertRaises(AttributeError):
                getattr(owner, name)

    def test_every_operation_of_a_home_is_a_method(self):
        count = 0
        for name, _ in _core.objects():
            for method, operation in _resource.methods_of(name).items():
                if operation:
                    cls = pinstripe._object.resolve(name)
                    self.assertTrue(callable(getattr(cls, method)) and callable(getattr(cls, f"{method}_async")))
                    count += 1
        self.assertGreater(count, 400)


if __name__ == "__main__":
    unittest.main()
