--- Products: `updated` moves with every change, a default price is one of the product's own, and a product that has
--- prices stays.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"

local refuse, refuse_if = common.refuse, common.refuse_if

local flow = { operations = {} }

--- Builds and stores a product of `fields`, as products.create takes them.
function flow.make(call, fields)
  local product = generic.build(common.with(call, fields, call.operation), "product")
  product.id, product.active, product.type = fields.id or "", fields.active ~= false, fields.type or "service"
  product.updated, product.default_price = call:now(), product.default_price or common.null
  return call:keep(product)
end

flow.operations["products.create"] = function(call)
  local prices, price = require "sandbox.flows.prices", call.params.default_price_data
  call.params.default_price_data = nil
  if price then prices.check(call, price, "default_price_data") end
  local product = flow.make(call, call.params)
  if price then
    price.product = product.id
    call.store:update(product, { default_price = prices.make(call, price).id })
  end
  return product
end

flow.operations["products.update"] = function(call)
  local product, default = call:target(), call.params.default_price
  local price = default and call:find("price", default, "default_price")
  refuse_if(price and price.product ~= product.id,
    "The price %s belongs to another product and cannot be the default of %s.",
    "default_price", nil, default, product.id)
  refuse_if(price and not price.active,
    "The price %s is archived and cannot be a default price.", "default_price", nil, default)
  local changes = call:asked(product)
  if next(changes) then changes.updated = call:now() end
  return call:apply(product, changes)
end

flow.operations["products.delete"] = function(call)
  if call.store:newest("price", { product = call:target().id })() then
    refuse("This product cannot be deleted because it has one or more user-created prices. Archive it"
      .. " instead, by setting `active` to false.")
  end
  return generic.delete(call)
end

return flow
