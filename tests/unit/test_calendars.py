"""When calendars are open: weekly hours and iCalendar files, by instants whose answer is known."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from notices import SHANGHAI, at_ms

from consumers.routing.calendars import LONGEST_MS, open_until_ms, read_icalendar, weekly_hours
from streams.clock import HOUR_MS
from streams.errors import BadInput
from streams.files.typed_yaml import read_scalar
from streams.windows import Window

BERLIN = ZoneInfo("Europe/Berlin")


def weekly(*windows, timezone=SHANGHAI):
    return weekly_hours(msgspec.convert(list(windows), list[Window], strict=False, dec_hook=read_scalar), timezone)


def write(path, *events, head=""):
    text = "".join(f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events))
    path.write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//t//EN\n{head}{text}END:VCALENDAR\n".replace("\n", "\r\n"), "utf-8", newline="")
    return path


def read(tmp_path, *events, timezone=SHANGHAI, head=""):
    return read_icalendar(write(tmp_path / "duty.ics", *events, head=head), timezone)


def names(calendar, text, timezone=SHANGHAI):
    return [span.name for span in calendar.at(at_ms(text, timezone))]


def test_a_night_is_open_across_midnight_and_half_open():
    nights = weekly({"from": "22:00", "until": "07:00"})
    assert [open_until_ms([nights], at_ms(f"2026-11-{moment}")) for moment in ("11T21:59:59", "12T07:00")] == [None, None]
    assert {open_until_ms([nights], at_ms(f"2026-11-{moment}")) for moment in ("11T22:00", "12T00:00", "12T06:59:59")} == {at_ms("2026-11-12T07:00")}


def test_days_of_the_week_and_calendars_that_follow_each_other():
    weekends, mondays = weekly({"days": "sat,sun", "from": "00:00", "until": "24:00"}), weekly({"days": "mon", "from": "00:00", "until": "09:00"})
    saturday = at_ms("2026-11-14T10:00")
    assert open_until_ms([weekends], saturday) == at_ms("2026-11-16T00:00")
    assert open_until_ms([mondays, weekends], saturday) == at_ms("2026-11-16T09:00")
    assert open_until_ms([weekends, mondays], at_ms("2026-11-13T10:00")) is None


def test_every_instant_of_a_year_agrees_with_the_clock():
    nights = weekly({"days": "mon-fri", "from": "22:30", "until": "06:00"}, timezone=BERLIN)
    for hour in range(24 * 370):
        moment_ms = at_ms("2026-01-01T00:10", BERLIN) + hour * HOUR_MS
        local = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(BERLIN)
        minutes = local.hour * 60 + local.minute
        is_open = (minutes >= 22 * 60 + 30 and local.weekday() < 5) or (minutes < 6 * 60 and (local.weekday() - 1) % 7 < 5)
        assert (nights.at(moment_ms) != []) == is_open, local


def test_what_is_always_open_is_open_for_no_more_than_a_year():
    always = weekly({"from": "00:00", "until": "12:00"}, {"from": "12:00", "until": "24:00"})
    assert open_until_ms([always], at_ms("2026-11-11T08:00")) == at_ms("2026-11-11T08:00") + LONGEST_MS


def test_a_weekly_rota_with_a_swap_a_day_off_and_an_end(tmp_path):
    calendar, found = read(
        tmp_path,
        "DTSTART;TZID=Asia/Shanghai:20261102T080000\nDTEND;TZID=Asia/Shanghai:20261102T200000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20261124\n"
        "EXDATE;TZID=Asia/Shanghai:20261109T080000\nSUMMARY:王警官",
        "DTSTART;TZID=Asia/Shanghai:20261102T200000\nDURATION:PT12H\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY:李警官",
    )
    assert found == {"王警官": 4, "李警官": 12}
    assert names(calendar, "2026-11-03T08:00") == ["王警官"] and names(calendar, "2026-11-03T20:00") == ["李警官"]
    assert names(calendar, "2026-11-05T07:59") == ["李警官"] and names(calendar, "2026-11-05T20:00") == []
    assert names(calendar, "2026-11-09T12:00") == [] and names(calendar, "2026-11-10T12:00") == ["王警官"]
    assert names(calendar, "2026-11-24T12:00") == ["王警官"] and names(calendar, "2026-11-30T12:00") == []


def test_one_time_of_a_rota_is_moved_or_cancelled_by_an_event_of_its_own(tmp_path):
    rota = "DTSTART:20261102T080000\nDTEND:20261102T090000\nRRULE:FREQ=DAILY\nSUMMARY:a"
    path = write(tmp_path / "duty.ics", rota, "RECURRENCE-ID:20261103T080000\nDTSTART:20261103T100000\nDTEND:20261103T110000\nSUMMARY:b",
                 "RECURRENCE-ID:20261104T080000\nDTSTART:20261104T080000\nDTEND:20261104T090000\nSTATUS:CANCELLED\nSUMMARY:c")  # fmt: skip
    path.write_text(path.read_text("utf-8").replace("UID:1", "UID:0").replace("UID:2", "UID:0"), "utf-8")
    calendar, _ = read_icalendar(path, SHANGHAI)
    assert [names(calendar, f"2026-11-0{moment}") for moment in ("2T08:30", "3T08:30", "3T10:30", "4T08:30", "5T08:30")] == [["a"], [], ["b"], [], ["a"]]


def test_days_and_times_without_a_zone_are_those_of_the_file_and_others_of_their_own(tmp_path):
    calendar, _ = read(tmp_path, "DTSTART;VALUE=DATE:20261111\nSUMMARY:day", "DTSTART:20261112T080000Z\nDTEND:20261112T090000Z\nSUMMARY:utc", timezone=BERLIN)
    assert names(calendar, "2026-11-11T00:00", BERLIN) == ["day"] == names(calendar, "2026-11-11T23:59:59", BERLIN)
    assert names(calendar, "2026-11-10T23:59", BERLIN) == [] and names(calendar, "2026-11-12T09:30", BERLIN) == ["utc"]


def test_a_shift_keeps_its_hours_where_clocks_are_set(tmp_path):
    calendar, _ = read(tmp_path, "DTSTART;TZID=Europe/Berlin:20260301T220000\nDTEND;TZID=Europe/Berlin:20260302T060000\nRRULE:FREQ=DAILY\nSUMMARY:n")
    for day in ("2026-03-29", "2026-10-25", "2026-07-01"):
        assert names(calendar, f"{day}T05:59", BERLIN) == ["n"] and names(calendar, f"{day}T06:00", BERLIN) == []


def zone(offset, name="My Zone"):
    """What a file says of a zone of its own, which is so many hours before UTC."""
    return f"BEGIN:VTIMEZONE\nTZID:{name}\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE\n"


def test_a_zone_that_a_file_describes_is_that_of_this_file_alone(tmp_path):
    event = "DTSTART;TZID=My Zone:20261112T080000\nDTEND;TZID=My Zone:20261112T090000\nSUMMARY:a"
    for offset, hour in (("+0900", "07"), ("+0800", "08")):
        calendar, _ = read(tmp_path, event, head=zone(offset))
        assert names(calendar, f"2026-11-12T{hour}:30") == ["a"], offset
    with pytest.raises(BadInput, match=r"duty\.ics:4: this event is of the time zone 'My Zone', which is unknown; use one such as Asia/Shanghai, or describe it by a VTIMEZONE"):
        read(tmp_path, event)
    calendar, _ = read(tmp_path, event.replace("My Zone", "China Standard Time"), timezone=BERLIN)
    assert names(calendar, "2026-11-12T08:30") == ["a"], "as Outlook calls it"


def test_times_without_a_zone_are_of_the_zone_of_the_file_unless_another_is_meant(tmp_path):
    path = write(tmp_path / "duty.ics", "DTSTART:20261112T080000\nDTEND:20261112T090000\nSUMMARY:a", head="X-WR-TIMEZONE:Europe/Berlin\n")
    assert names(read_icalendar(path, SHANGHAI)[0], "2026-11-12T08:30", BERLIN) == ["a"]
    assert names(read_icalendar(path, BERLIN, SHANGHAI)[0], "2026-11-12T08:30") == ["a"]
    with pytest.raises(BadInput, match=r"duty\.ics: X-WR-TIMEZONE 'Europe/Berlim' is unknown; did you mean 'Europe/Berlin'\?"):
        read(tmp_path, "DTSTART:20261112T080000\nDTEND:20261112T090000", head="X-WR-TIMEZONE:Europe/Berlim\n")


def test_whether_anything_is_still_to_come(tmp_path):
    yearly, _ = read(tmp_path, "DTSTART:20191111T080000\nDTEND:20191111T090000\nRRULE:FREQ=YEARLY")
    past, _ = read(tmp_path, "DTSTART:20191111T080000\nDTEND:20191111T090000")
    a_year = [(at_ms(day), at_ms(day) + LONGEST_MS) for day in ("2026-11-11T08:30", "2026-11-12T00:00")]
    assert [[calendar.opens_within(*within) for within in a_year] for calendar in (yearly, past)] == [[True, True], [False, False]]


@pytest.mark.parametrize(("event", "said"), [
    ("DTSTART;TZID=Asia/Bejing:20261111T080000\nDTEND:20261111T090000", "this event is of the time zone 'Asia/Bejing', which is unknown"),
    ("DTSTART:20261111T080000\nDTEND;TZID=Asia/Shanghaj:20261111T090000", "'Asia/Shanghaj', which is unknown; did you mean 'Asia/Shanghai'"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY\nEXDATE;TZID=Mars:20261112T080000", "the time zone 'Mars'"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRECURRENCE-ID:yesterday", "duty.ics:4: this event cannot be read: RECURRENCE-ID"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nDURATION:PT3H", "this event has both DTEND and DURATION"),
    ("DTSTART:20261111T080000\nDTSTART:20261112T080000\nDTEND:20261112T090000", "this event has more than one DTSTART"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY;COUNT=0", "has a COUNT of 0; it is 1 to 5,000"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY;COUNT=99999", "has a COUNT of 99999"),
    ("DTSTART:20261111T080000\nSUMMARY:a", "duty.ics:4: this event has no end after its beginning"),
    ("DTSTART:20261111T080000\nDTEND:20261111T070000", "duty.ics:4: this event has no end after its beginning"),
    ("SUMMARY:a", "duty.ics:4: this event has no beginning"),
    ("DTSTART:yesterday", "duty.ics:4: this event cannot be read: DTSTART"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=SECONDLY", "repeated oftener than daily"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY;BYMINUTE=1,2", "repeated DAILY with BYMINUTE, which is not read here"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "repeated DAILY with BYMONTHDAY"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nRRULE:FREQ=DAILY;INTERVAL=0", "has an INTERVAL of less than 1"),
    ("DTSTART:00010101T080000\nDTEND:00010101T090000", "duty.ics:4: this event begins in 1"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nSTATUS:CANCELLED", "no event ever takes place"),
    ("DTSTART:20261111T080000\nDTEND:20261111T090000\nEXDATE:20261111T080000", "no event ever takes place"),
])  # fmt: skip
def test_what_is_wrong_with_an_event_is_one_line_with_its_place(tmp_path, event, said):
    with pytest.raises(BadInput, match=said.replace("(", r"\(")) as caught:
        read(tmp_path, event)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_calendar_says_so(tmp_path):
    for text in ("BEGIN:VCALENDAR\n" + zone("+0800", "a\nTZID:b") + "END:VCALENDAR\n", "", "garbage", "BEGIN:VEVENT\nEND:VEVENT\n", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n"):
        (tmp_path / "x.ics").write_text(text)
        with pytest.raises(BadInput, match=r"x\.ics"):
            read_icalendar(tmp_path / "x.ics", SHANGHAI)


def test_a_rule_that_never_holds_does_not_keep_anybody_waiting(tmp_path):
    began_s = time.process_time()
    calendar, _ = read(tmp_path, "DTSTART:19700101T080000\nDTEND:19700101T090000\nRRULE:FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;COUNT=9")
    assert names(calendar, "2026-02-28T08:30") == [] and names(calendar, "1970-01-01T08:30") == [""]
    assert time.process_time() - began_s < 10


def test_a_large_file_is_read_in_a_moment(tmp_path):
    """Also where no event says which it is (UID), and half of them replace one."""
    hours = [datetime(2026, 11, 1) + timedelta(hours=number) for number in range(5_000)]  # noqa: DTZ001 (local time)
    events = [f"DTSTART:{hour:%Y%m%dT%H%M%S}\nDURATION:PT1H" + f"\nRECURRENCE-ID:{hour:%Y%m%dT%H%M%S}" * (hour.hour % 2) for hour in hours]
    path = write(tmp_path / "duty.ics", *events)
    path.write_text("".join(line for line in path.read_text("utf-8").splitlines(keepends=True) if not line.startswith("UID")), "utf-8")
    began_s = time.process_time()
    read_icalendar(path, SHANGHAI)
    assert time.process_time() - began_s < 4
