--- Products: `updated` moves with every change, a default price is one of the product's own, and a product that has
--- prices stays.
--
-- For prices and plans, which may bring their product: products.make(call, fields) checks nothing that params did not.
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

--- Builds and stores a product of `fields`, as products.create takes them.
function flow.make(call, fields)
  local product = generic.build(common.with(call, fields), "product")
  product.id = fields.id or ""
  if fields.active == nil then product.active = true end
  product.type = fields.type or "service"
  call.store:insert(product)
  product.updated = product.created
  if product.default_price == nil then product.default_price = host.null end
  events.emit(call, "product.created", product)
  return product
end

flow.operations["products.create"] = function(call)
  local prices = require "sandbox.flows.prices"
  local params = call.params
  local price = params.default_price_data
  params.default_price_data = nil
  if price then prices.check(call, price, "default_price_data") end
  local product = flow.make(call, params)
  if price then
    price.product = product.id
    call.store:update(product, { default_price = prices.make(call, price).id })
  end
  return product
end

local function check_default_price(call, product, id)
  local price = call:find("price", id, "default_price")
  if price.product ~= product.id then
    common.refuse(("The price %s belongs to another product and cannot be the default of %s."):format(id, product.id),
      "default_price")
  end
  if not price.active then
    common.refuse(("The price %s is archived and cannot be a default price."):format(id), "default_price")
  end
end

flow.operations["products.update"] = function(call)
  local product, default = call:target(), call.params.default_price
  if default then check_default_price(call, product, default) end
  local changes = generic.merge(product, call.params)
  if next(changes) then changes.updated = call:now() end
  return generic.apply(call, product, changes)
end

flow.operations["products.delete"] = function(call)
  local product = call:target()
  if call.store:newest("price", { product = product.id })() then
    common.refuse("This product cannot be deleted because it has one or more user-created prices. Archive it"
      .. " instead, by setting `active` to false.")
  end
  return generic.delete(call)
end

return flow
