"""Eight instances as one number: a register of float64 that kernels calculate with as they do with a float.

A loop over instances is vectorised by the compiler only if nothing in it branches and nothing in it is a loop. Written
in lanes it need not be a loop: ``x`` holds the number of eight instances, ``x * y + 2.0`` is one instruction or two,
``select`` stands for a branch, and loops over users or actions are those of a single instance. Every lane is computed
alike, whatever its neighbours hold, so that a batch gives the digits of its instances.

Scratch is an array with a lane to each column (:func:`scratch_rows`), or of another shape and read by eights; of
float64, or of int64 for lanes that say where to :func:`gather`. Without the compiler lanes are arrays of eight.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

from radioopt.numerics import lanes_interpreted
from radioopt.numerics.jit import inner_kernel
from radioopt.numerics.lanes_interpreted import LANES
from radioopt.numerics.twins import paired

__all__ = [
    "LANES",
    "absolute",
    "any_lane",
    "broadcast",
    "gather",
    "lane_sum",
    "larger",
    "load",
    "pick",
    "put",
    "root",
    "scratch_rows",
    "select",
    "smaller",
    "store",
]


@inner_kernel
def scratch_rows(count):
    """Scratch of so many rows, each a cache line of its own."""
    buffer = np.empty((count + 1) * LANES)
    first = (-buffer.ctypes.data % 64) // 8
    return buffer[first : first + count * LANES].reshape((count, LANES))


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    from radioopt.numerics.lanes_interpreted import (
        absolute,
        any_lane,
        broadcast,
        gather,
        lane_sum,
        larger,
        load,
    )
    from radioopt.numerics.lanes_interpreted import pick, put, root, select, smaller, store  # fmt: skip  # isort: skip

else:

    class Lanes(types.Type):
        """Type of a number per lane, of its bits, or of a yes or no per lane."""

        @property
        def bits(self) -> types.Type:
            """What ``bits_of`` gives."""
            return BITS

        @property
        def numbers(self) -> types.Type:
            """What ``float_of`` gives."""
            return NUMBERS

    NUMBERS: Any = Lanes("lanes")
    BITS: Any = Lanes("lanes of bits")
    MASK: Any = Lanes("lanes of yes or no")
    _VECTORS = {
        NUMBERS: ir.VectorType(ir.DoubleType(), LANES),
        BITS: ir.VectorType(ir.IntType(64), LANES),
        MASK: ir.VectorType(ir.IntType(1), LANES),
    }
    # reassociation is missing: every lane rounds as its formula is written
    _FLAGS = ("nsz", "contract")

    @register_model(Lanes)
    class _LanesModel(models.PrimitiveModel):
        def __init__(self, manager, lanes):
            super().__init__(manager, lanes, _VECTORS[lanes])

    def _splat(builder, number):
        """One number in all lanes."""
        vector = ir.VectorType(number.type, LANES)
        one = builder.insert_element(
            ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    def _spread(builder, kinds, values):
        """Arguments as lanes, numbers among them broadcast."""
        return [
            value if isinstance(kind, Lanes) else _splat(builder, value)
            for kind, value in zip(kinds, values, strict=True)
        ]

    _PAIRS = ((NUMBERS, NUMBERS), (NUMBERS, types.float64), (types.float64, NUMBERS))

    def _define(operation, result, pairs, generate):
        """Teach the compiler a binary operator on lanes."""

        @infer_global(operation)
        class _Template(ConcreteTemplate):
            cases = tuple(signature(result, *pair) for pair in pairs)

        for pair in pairs:

            @lower_builtin(operation, *pair)
            def _lower(context, builder, sig, arguments):
                return generate(builder, *_spread(builder, sig.args, arguments))

    for _operation, _name in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):

        def _arithmetic(builder, x, y, name=_name):
            return getattr(builder, name)(x, y, flags=_FLAGS)

        _define(_operation, NUMBERS, _PAIRS, _arithmetic)

    for _operation, _name in (
        (operator.lt, "<"),
        (operator.le, "<="),
        (operator.gt, ">"),
        (operator.ge, ">="),
        (operator.eq, "=="),
    ):

        def _compare(builder, x, y, name=_name):
            return builder.fcmp_ordered(name, x, y)

        _define(_operation, MASK, _PAIRS, _compare)

    _BIT_PAIRS = ((BITS, BITS), (BITS, types.int64), (types.int64, BITS))
    for _operation, _name, _result, _operands in (
        (operator.and_, "and_", MASK, ((MASK, MASK),)),
        (operator.or_, "or_", MASK, ((MASK, MASK),)),
        (operator.add, "add", BITS, _BIT_PAIRS),
        (operator.sub, "sub", BITS, _BIT_PAIRS),
        (operator.lshift, "shl", BITS, _BIT_PAIRS),
        (operator.rshift, "ashr", BITS, _BIT_PAIRS),
    ):

        def _combine(builder, x, y, name=_name):
            return getattr(builder, name)(x, y)

        _define(_operation, _result, _operands, _combine)

    # what eight elements of an array are
    _KINDS = {types.float64: NUMBERS, types.int64: BITS, types.boolean: MASK}

    def _is_row(rows):
        return isinstance(rows, types.Array) and rows.layout == "C"

    def _pointer(context, builder, rows, array, row):
        """Address of a row of scratch, as that of a vector."""
        data = make_array(rows)(context, builder, array).data
        first = builder.gep(data, [builder.mul(row, ir.Constant(row.type, LANES))])
        return builder.bitcast(first, _VECTORS[_KINDS[rows.dtype]].as_pointer())

    @intrinsic
    def load(typing_context, rows, row):
        """Read a row of scratch, which is eight numbers of an array of any shape."""
        if not (_is_row(rows) and isinstance(row, types.Integer)):
            return None

        def generate(context, builder, sig, arguments):
            row = context.cast(builder, arguments[1], sig.args[1], types.intp)
            return builder.load(_pointer(context, builder, sig.args[0], arguments[0], row), align=8)

        return _KINDS[rows.dtype](rows, row), generate

    @intrinsic
    def store(typing_context, rows, row, x):
        """Write a row of scratch."""
        if not (_is_row(rows) and isinstance(row, types.Integer) and x in (NUMBERS, types.float64)):
            return None

        def generate(context, builder, sig, arguments):
            row = context.cast(builder, arguments[1], sig.args[1], types.intp)
            (lanes,) = _spread(builder, sig.args[2:], arguments[2:])
            builder.store(lanes, _pointer(context, builder, sig.args[0], arguments[0], row), align=8)
            return context.get_dummy_value()

        return types.void(rows, row, x), generate

    def _addresses(builder, array, indices):
        """Addresses of array[field, instance, ...] for eight instances, the last one again where there are fewer.

        Also whether there are eight, one behind the other in memory.
        """
        lengths = cgutils.unpack_tuple(builder, array.shape)
        last = builder.sub(lengths[1], ir.Constant(lengths[1].type, 1))
        field, first, *core = indices
        addresses = []
        for j in range(LANES):
            place = builder.add(first, ir.Constant(first.type, j))
            inside = builder.icmp_signed("<=", place, last)
            at = builder.add(builder.mul(field, lengths[1]), builder.select(inside, place, last))
            for length, k in zip(lengths[2:], core, strict=True):
                at = builder.add(builder.mul(at, length), k)
            addresses.append(builder.gep(array.data, [at]))
        return addresses, ir.Constant(ir.IntType(1), 0) if core else inside

    def _vector_pointer(builder, address):
        return builder.bitcast(address, _VECTORS[NUMBERS].as_pointer())

    def _lane(j):
        return ir.Constant(ir.IntType(32), j)

    def _gather(builder, array, indices):
        """Read eight instances."""
        addresses, together = _addresses(builder, array, indices)
        with builder.if_else(together) as (eight, fewer):
            with eight:
                whole = builder.load(_vector_pointer(builder, addresses[0]), align=8)
                from_eight = builder.basic_block
            with fewer:
                parts = ir.Constant(_VECTORS[NUMBERS], ir.Undefined)
                for j, address in enumerate(addresses):
                    parts = builder.insert_element(parts, builder.load(address), _lane(j))
                from_fewer = builder.basic_block
        found = builder.phi(_VECTORS[NUMBERS])
        found.add_incoming(whole, from_eight)
        found.add_incoming(parts, from_fewer)
        return found

    def _scatter(builder, array, indices, lanes):
        """Write eight instances."""
        addresses, together = _addresses(builder, array, indices)
        with builder.if_else(together) as (eight, fewer):
            with eight:
                builder.store(lanes, _vector_pointer(builder, addresses[0]), align=8)
            with fewer:
                for j, address in enumerate(addresses):
                    builder.store(builder.extract_element(lanes, _lane(j)), address)

    def _indexed(array, indices):
        """Whether this is a field, an instance, and what else the array has axes for."""
        return (
            isinstance(array, types.Array)
            and array.layout == "C"
            and array.dtype == types.float64
            and isinstance(indices, types.BaseTuple)
            and array.ndim == len(indices)
        )

    def _unpacked(context, builder, sig, arguments):
        """Array and indices of a call."""
        values = cgutils.unpack_tuple(builder, arguments[1])
        kinds = zip(sig.args[1], values, strict=True)
        indices = [context.cast(builder, value, kind, types.intp) for kind, value in kinds]
        return make_array(sig.args[0])(context, builder, arguments[0]), indices

    @intrinsic
    def pick(typing_context, array, indices):
        """Read array[field, instance, ...] of eight instances from (field, first, ...) on."""

        def generate(context, builder, sig, arguments):
            return _gather(builder, *_unpacked(context, builder, sig, arguments))

        return (NUMBERS(array, indices), generate) if _indexed(array, indices) else None

    @intrinsic
    def put(typing_context, array, indices, x):
        """Write array[field, instance, ...] of eight instances from (field, first, ...) on."""

        def generate(context, builder, sig, arguments):
            place, at = _unpacked(context, builder, sig, arguments)
            _scatter(builder, place, at, arguments[2])
            return context.get_dummy_value()

        fits = _indexed(array, indices) and x == NUMBERS
        return (types.void(array, indices, x), generate) if fits else None

    @intrinsic
    def gather(typing_context, array, indices):
        """Read array[indices], some of which are lanes."""
        whole = all(kind == BITS or isinstance(kind, types.Integer) for kind in indices)
        if not (
            isinstance(array, types.Array) and array.layout == "C" and array.ndim == len(indices) and whole
        ):
            return None
        kind = _KINDS[array.dtype]

        def generate(context, builder, sig, arguments):
            place = make_array(array)(context, builder, arguments[0])
            lengths = cgutils.unpack_tuple(builder, place.shape)
            given = list(zip(indices, cgutils.unpack_tuple(builder, arguments[1]), strict=True))
            parts = ir.Constant(ir.VectorType(place.data.type.pointee, LANES), ir.Undefined)
            for j in range(LANES):
                at = ir.Constant(lengths[0].type, 0)
                for length, (one, k) in zip(lengths, given, strict=True):
                    if one == BITS:
                        index = builder.extract_element(k, _lane(j))
                    else:
                        index = context.cast(builder, k, one, types.intp)
                    at = builder.add(builder.mul(at, length), index)
                part = builder.load(builder.gep(place.data, [at]))
                parts = builder.insert_element(parts, part, _lane(j))
            return cgutils.is_not_null(builder, parts) if kind == MASK else parts

        return kind(array, indices), generate

    @intrinsic
    def broadcast(typing_context, x):
        """Give every lane the same number."""

        def generate(context, builder, sig, arguments):
            return _splat(builder, arguments[0])

        return NUMBERS(types.float64), generate

    @intrinsic
    def select(typing_context, mask, x, y):
        """Take x in the lanes of the mask and y in the others."""
        if mask != MASK:
            return None

        def generate(context, builder, sig, arguments):
            return builder.select(arguments[0], *_spread(builder, sig.args[1:], arguments[1:]))

        return NUMBERS(mask, x, y), generate

    def _extreme(order):
        """Build the larger or the smaller of two, which the compiler makes one instruction; no NaN."""

        def chosen(typing_context, x, y):
            if (x, y) not in _PAIRS:
                return None

            def generate(context, builder, sig, arguments):
                one, other = _spread(builder, sig.args, arguments)
                return builder.select(builder.fcmp_ordered(order, one, other), one, other)

            return NUMBERS(x, y), generate

        return intrinsic(chosen)

    larger, smaller = _extreme(">"), _extreme("<")

    def _elementwise(name):
        """Build a function of one number from an instruction of the compiler's."""

        def computed(typing_context, x):
            if x != NUMBERS:
                return None

            def generate(context, builder, sig, arguments):
                vector = _VECTORS[NUMBERS]
                kind = ir.FunctionType(vector, [vector])
                function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f64")
                return builder.call(function, arguments)

            return NUMBERS(x), generate

        return intrinsic(computed)

    root, absolute = _elementwise("llvm.sqrt"), _elementwise("llvm.fabs")

    @intrinsic
    def any_lane(typing_context, mask):
        """Whether the mask has any lane."""
        if mask != MASK:
            return None

        def generate(context, builder, sig, arguments):
            bits = builder.bitcast(arguments[0], ir.IntType(LANES))
            return cgutils.is_not_null(builder, bits)

        return types.boolean(mask), generate

    @intrinsic
    def lane_sum(typing_context, x):
        """Sum over the lanes, always in the same order."""
        if x != NUMBERS:
            return None

        def generate(context, builder, sig, arguments):
            parts = [builder.extract_element(arguments[0], _lane(j)) for j in range(LANES)]
            while len(parts) > 1:  # in pairs
                parts = [builder.fadd(one, other) for one, other in zip(parts[::2], parts[1::2], strict=True)]
            return parts[0]

        return types.float64(x), generate

    for _name in lanes_interpreted.__all__:
        paired(globals()[_name], getattr(lanes_interpreted, _name))
