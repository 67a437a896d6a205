"""What the kinds of records, their keys and the words in them are called, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.words.basis import Words
from streams.words.terms import BODIES, CLASSES, ENERGIES, PASSES, Lang, term

NAMES = {
    "vehicle": ("车辆", "辆", "vehicle", "vehicles"), "driver": ("驾驶人", "名", "driver", "drivers"), "enterprise": ("企业", "家", "enterprise", "enterprises"),
    "outlet": ("网点", "个", "outlet", "outlets"), "pass": ("通行证", "张", "pass", "passes"), "notice": ("通知", "条", "notice", "notices"),
    "township": ("乡镇", "个", "township", "townships"), "facility": ("设施", "处", "facility", "facilities"), "line": ("专线", "条", "line", "lines"),
}  # fmt: skip
"""What the kinds of records are called: in Chinese, with their measure word, and in English, one and several."""
KEYS = {
    "valid_from": Words("有效期自", "valid from"), "valid_until": Words("有效期至", "valid until"), "plate": Words("号牌", "plate"), "device_id": Words("终端", "terminal"),
    "enterprise_id": Words("所属企业", "enterprise"), "city": Words("城市", "city"), "vehicle_class": Words("车型", "class"), "energy": Words("能源类型", "energy"),
    "plate_kind": Words("号牌种类", "kind of plate"), "emission_standard": Words("排放标准", "emission standard"), "body": Words("车厢形式", "body"),
    "marked": Words("是否有统一标识", "unified marking"), "status": Words("状态", "status"), "driver_ids": Words("驾驶人", "drivers"),
    "insured_until": Words("保险有效期", "insured until"), "joint_delivery": Words("是否从事共同配送", "joint delivery"), "trained_until": Words("培训有效期", "trained until"),
    "name_zh": Words("中文名称", "name in Chinese"), "name_en": Words("英文名称", "name in English"), "primary_brand": Words("是否主要品牌", "primary brand"),
    "key_enterprise": Words("是否重点企业", "key enterprise"), "licensed_until": Words("经营许可有效期", "licensed until"), "cities": Words("经营城市", "cities"),
    "credit": Words("信用", "credit"), "lon": Words("经度", "longitude"), "lat": Words("纬度", "latitude"), "filed": Words("是否备案", "on file"),
    "camera": Words("是否设有视频监控", "camera"), "recycling_container": Words("是否设包装回收装置", "recycling container"),
    "standardised": Words("是否为标准化网点", "standardised"), "reusable_boxes": Words("是否配置可回收利用包装箱", "reusable boxes"),
    "township": Words("所在乡镇（街道）", "township"), "pass_kind": Words("通行证种类", "kind of pass"), "vehicle_id": Words("车辆", "vehicle"), "zones": Words("区域", "zones"),
    "subject": Words("对象", "subject"), "from": Words("开始时间", "from"), "until": Words("结束时间", "until"), "filed_at": Words("报备时间", "filed at"), "reason": Words("原因", "reason"),
    "covered": Words("是否覆盖", "covered"), "urban": Words("是否属于城区", "urban"), "locker_cells": Words("智能快件箱格口数", "locker cells"),
    "service_stations": Words("公共服务站数", "service stations"), "villages": Words("行政村数", "villages"), "level": Words("层级", "level"),
    "village": Words("所服务的行政村", "village"), "vehicle_ids": Words("车辆", "vehicles"),
}  # fmt: skip
"""What the keys of records are called."""
_VALUES: Mapping[str, Mapping[str, Words]] = {
    "vehicle_class": CLASSES, "energy": ENERGIES, "body": BODIES, "pass_kind": PASSES,
    "plate_kind": {"motor": Words("机动车", "motor"), "non_motor": Words("非机动车", "non-motor")},
    "status": {"active": Words("在用", "active"), "suspended": Words("停用", "suspended"), "scrapped": Words("报废", "scrapped")},
    "credit": {"red": Words("红名单", "red list"), "normal": Words("正常", "normal"), "black": Words("黑名单", "black list")},
    "level": {
        "hub": Words("枢纽", "hub"), "county": Words("县级中心", "county centre"), "township": Words("乡镇站点", "township station"),
        "village": Words("村级站点", "village station"), "pickup_point": Words("取送点", "pick-up point"),
    },
}  # fmt: skip
_YES_NO = {True: Words("是", "yes"), False: Words("否", "no")}


def numbered(kind: str, number: int, lang: Lang = "en") -> str:
    """So many records of a kind.

    >>> numbered("pass", 1), numbered("pass", 2_000), numbered("pass", 2, "zh")
    ('1 pass', '2,000 passes', '通行证 2 张')
    """
    zh, measure, one, several = NAMES[kind]
    return f"{zh} {number:,} {measure}" if lang == "zh" else f"{number:,} {one if number == 1 else several}"


def value_words(key: str, value: Any, lang: Lang) -> str:
    """What stands at a key, as it is said; what is not said is a dash.

    >>> value_words("marked", False, "zh"), value_words("energy", "fuel", "zh"), value_words("driver_ids", ["d", "e"], "en"), value_words("plate", None, "en")
    ('否', '燃油', 'd, e', '–')
    """
    if isinstance(value, list):
        return ("、" if lang == "zh" else ", ").join(value) or "–"
    if isinstance(value, bool):
        return _YES_NO[value][lang == "en"]
    if key in _VALUES and isinstance(value, str):
        return term(_VALUES[key], value)[lang == "en"]
    return "–" if value is None else str(value)
