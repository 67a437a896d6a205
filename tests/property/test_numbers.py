"""Numbers of ids against a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.vehicles import id_index as numbers
from streams.vehicles.id_index import IdIndex

ids = st.text(st.sampled_from("ab京\0\x01 "), min_size=1, max_size=12) | st.text(min_size=1, max_size=80)


@given(st.lists(st.lists(ids, min_size=1, max_size=30), max_size=8), st.sampled_from([8, 16, numbers.LONGEST]))
def test_every_id_has_the_number_it_was_given(chunks, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "LONGEST", longest)
        compare(chunks)


def compare(chunks):
    table, known = IdIndex(), {}
    for chunk in chunks:
        assert table.find(chunk).tolist() == [known.get(name, -1) for name in chunk]
        new = list(dict.fromkeys(name for name in chunk if name not in known))
        if new:
            table.add(new)
            known |= {name: len(known) + index for index, name in enumerate(new)}
        assert table.find(chunk).tolist() == [known[name] for name in chunk]
    if known:
        assert table.find(list(known)).tolist() == list(range(len(known)))


def test_many_ids_in_a_row_are_found_in_a_few_steps():
    """Registered numbers differ in their last digits only."""
    table, names = IdIndex(), [f"HHHT-{number:06}" for number in range(50_000)]
    table.add(names)
    assert table.find(names).tolist() == list(range(50_000))
    places = table._places(table._as_words(names))
    assert len(set(places.tolist())) > 0.8 * len(names)  # of a table that is 0.19 or 0.38 full, chance takes 0.91 or 0.83 times as many places
