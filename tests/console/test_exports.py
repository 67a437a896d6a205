"""Files of an hour's ways: who may take them along, and that the audit log tells of those alone that somebody got."""

import pytest

from console.console_site import ROLES, Site, T, filled, users_file
from consumers.console.fleet.replay import Hour, Point, Way


class SiteWithHours(Site):
    """A console that can read hours."""

    def span_ms(self):
        return T - 86_400_000, T + 3_600_000

    def hour(self, vehicle_ids, from_ms, is_stopping):
        return Hour(from_ms, [Way(name, None, [Point(from_ms, 111.65, 40.81, 20.0), Point(from_ms + 60_000, 111.66, 40.81, 20.0)]) for name in vehicle_ids], [])


@pytest.mark.parametrize("suffix", ["gpx", "geojson"])
def test_viewers_get_no_file_and_the_audit_log_claims_none(tmp_path, suffix):
    site = filled(SiteWithHours(tmp_path, console_users=users_file(tmp_path)))
    cookies = {role: site.log_in(name) for name, role in ROLES.items()}
    asked = f"/api/replay/export.{suffix}?hour=2026-06-26T12:00&v=HH-1"
    before = len(site.audit())
    assert site.ask(asked, cookie=cookies["viewer"])[0] == 403 and len(site.audit()) == before
    assert site.ask("/api/replay/ways?hour=2026-06-26T12:00&v=HH-1", cookie=cookies["viewer"])[0] == 200, "to look is no export"
    assert site.ask(asked, cookie=cookies["officer"])[0] == 200
    assert [(action, by) for action, by, _ in site.audit()[before:]] == [("exported", "olga")]
    site.stop()
