"""Where the cities' documents speak of each key figure, and of what the report has a section on: measure or section → adcode → clause, and the clause's words.

A city that is not named under it has a document that does not speak of it. Shaoxing's document has two sections 六.
"""

from __future__ import annotations

HOHHOT, HEZHOU, SHAOXING, YUNNAN, WULONG = "150100", "451100", "330600", "530000", "500156"
Clauses = dict[str, tuple[str, str]]
"""Adcode → clause and its words; where one city is meant, measure or section → the same."""
_CLEANER = "满足更高排放标准的燃油汽车"
_EMISSIONS: Clauses = {
    HOHHOT: ("六（十八）", _CLEANER), HEZHOU: ("二（六）17", _CLEANER), SHAOXING: ("六", _CLEANER), YUNNAN: ("六（二十二）", _CLEANER), WULONG: ("二（五）3", _CLEANER),
}  # fmt: skip
_NON_MOTOR: Clauses = {YUNNAN: ("三（十）", "支持快递企业依法使用符合国家（行业）标准，且已办理注册登记的非机动车收投快件")}
_MORE_NEW_ENERGY, _LESS_EMPTY = "逐步提高新能源汽车使用比例", "减少车辆空载和在途时间"
_BY_NIGHT: Clauses = {HOHHOT: ("三（十一）", "推行夜间配送")}
_MORE_RAIL = "逐步提高铁路等清洁运输方式在快递物流领域的应用比例"
_LICENCES, _THREE_LEVELS = "简化快递业务经营许可程序", "构建适应电子商务发展的县、乡、村三级快递物流服务体系"

CLAUSES: dict[str, Clauses] = {
    "nev_share": {
        HOHHOT: ("六（十八）", _MORE_NEW_ENERGY), HEZHOU: ("二（六）17", _MORE_NEW_ENERGY), SHAOXING: ("六", _MORE_NEW_ENERGY),
        YUNNAN: ("六（二十二）", _MORE_NEW_ENERGY), WULONG: ("二（五）3", _MORE_NEW_ENERGY),
    },
    "e_bikes": _NON_MOTOR,
    "e_tricycles": _NON_MOTOR,
    **dict.fromkeys(("emission_3", "emission_4", "emission_5", "emission_6", "emission_other"), _EMISSIONS),
    "subsidy_window_vehicles": {HEZHOU: ("二（六）17", "从2018年9月1日至2020年12月31日，对新使用的绿色环保型快递物流车辆给予适当的购车补贴")},
    "joint_delivery_share": {
        HOHHOT: ("四（十三）", "鼓励快递企业开展共同配送、联收联投等投递服务合作"), HEZHOU: ("二（四）12", "完善联收联投共同配送监管机制"), SHAOXING: ("六", "开展联收联投"),
        YUNNAN: ("二（八）", "发展集中仓储和共同配送"), WULONG: ("二（三）2", "大力发展共同配送"),
    },
    "joint_delivery": {
        HOHHOT: ("四（十三）", "鼓励快递企业开展共同配送、联收联投等投递服务合作"), HEZHOU: ("二（四）12", "完善联收联投共同配送监管机制"), SHAOXING: ("六", "开展联收联投"),
        YUNNAN: ("二（八）", "发展集中仓储和共同配送"), WULONG: ("二（三）2", "开展城区到乡村快递包裹共同配送"),
    },
    "locker": {HOHHOT: ("四（十二）", "提升箱递率")},
    "night_delivery": _BY_NIGHT,
    "night_run_ratio": _BY_NIGHT,
    "rail": {
        HOHHOT: ("六（十八）", _MORE_RAIL), HEZHOU: ("二（六）17", _MORE_RAIL), YUNNAN: ("六（二十二）", _MORE_RAIL), WULONG: ("二（五）3", _MORE_RAIL),
    },
    "air": {HOHHOT: ("六（十六）", "引导企业统筹运用铁路、公路、民航等多种运输方式")},
    "screened": {WULONG: ("三（七）", "督促企业落实好“三项制度”和安全生产主体责任")},
    "served_parcels": {HEZHOU: ("一（二）", "快递服务用户超 5000 万人次")},
    "empty_run_ratio": {
        HOHHOT: ("六（十八）", _LESS_EMPTY), HEZHOU: ("二（六）17", _LESS_EMPTY), SHAOXING: ("六", _LESS_EMPTY), YUNNAN: ("六（二十二）", _LESS_EMPTY), WULONG: ("二（五）3", _LESS_EMPTY),
    },
    "filed_outlet_share": {
        HOHHOT: ("二（五）", "具有固定场所、设施的网点，实施备案管理"), HEZHOU: ("二（一）1", "探索对快递末端网点实施备案管理"), SHAOXING: ("十", "实施快递末端网点备案管理"),
        YUNNAN: ("一（一）", "实施快递末端网点备案管理"), WULONG: ("三（三）", "实施快递末端网点备案管理"),
    },
    "camera_outlet_share": {SHAOXING: ("七", "建设一套覆盖全市所有寄递企业和网点的监控视频系统"), YUNNAN: ("一（四）", "远程视频监控系统")},
    "recycling_outlet_share": {HOHHOT: ("六（十七）", "推动在营业网点配备标志清晰的快递包装回收容器")},
    "reusable_box_outlet_share": {HOHHOT: ("六（十七）", "开展主要品牌标准化网点全部配置可回收利用包装箱专项行动")},
    "township_coverage": {HOHHOT: ("一（三）", "2019年底全市乡镇快递网点覆盖率达到100%"), HEZHOU: ("一（二）", "乡镇快递网点覆盖率达 100%"), WULONG: ("二（三）2", "实现镇、村物流全覆盖")},
    "village_coverage": {HOHHOT: ("一（一）", "村村通快递"), WULONG: ("二（三）2", "实现镇、村物流全覆盖")},
    "hubs": {HOHHOT: ("一（四）", "全市建成2个以上具有多式联运功能、支撑保障区域和产业发展的一级综合物流枢纽"), WULONG: ("二（一）3", "第一级为1个区级电子商务仓储物流配送中心")},
    "county_centres": {
        HOHHOT: ("一（三）", "推动五个旗县建设运营快递集散中心"), HEZHOU: ("二（二）5", "县级物流配送中心"), SHAOXING: ("二", _THREE_LEVELS), YUNNAN: ("二（八）", "利用县级物流配送中心"),
    },
    "township_stations": {
        HOHHOT: ("一（三）", "因地制宜的建设乡镇快递综合服务中心"), HEZHOU: ("二（二）5", "乡镇配送节点"), SHAOXING: ("二", _THREE_LEVELS),
        WULONG: ("二（一）3", "第二级为10个镇街级区域物流中转站"),
    },
    "village_points": {
        HOHHOT: ("一（三）", "推动行政村快递综合服务站建设"), HEZHOU: ("二（二）5", "村级公共服务点"), SHAOXING: ("六", "推进村级农村物流服务点建设"),
        YUNNAN: ("二（八）", "村级综合服务站"), WULONG: ("二（一）3", "第三级为186个村级物流服务点"),
    },
    "pickup_points": {WULONG: ("二（一）3", "以快递实体门店、智能快件箱等为载体的城市末端公共取送点")},
    "pickup_point_coverage": {WULONG: ("一", "城市末端公共取送点基本实现全覆盖")},
    "delivery_lines": {WULONG: ("二（一）3", "开通5条物流配送专线")},
    "locker_cells": {
        HOHHOT: ("四（十二）", "在2019年底实现智能快件箱格口达到13万个以上"), HEZHOU: ("二（四）11", "推广智能投递设施"), SHAOXING: ("六", "鼓励智能快件箱建设"),
        YUNNAN: ("四（十三）", "大力推广应用智能快件（信包）箱等自助设施"), WULONG: ("二（一）3", "以快递实体门店、智能快件箱等为载体的城市末端公共取送点"),
    },
    "service_stations": {HOHHOT: ("四（十三）", "2019年底快递公共服务站要达到300处"), WULONG: ("二（一）3", "支持建设农村电子商务快递公共服务站（点）")},
    "licensed_enterprise_share": {
        HOHHOT: ("二（五）", _LICENCES), HEZHOU: ("二（一）1", "进一步简化快递业务经营许可程序"), SHAOXING: ("十", _LICENCES), YUNNAN: ("一（一）", "简化快递业务经营许可审批程序"), WULONG: ("三（三）", _LICENCES),
    },
    "electronic_waybill": {HOHHOT: ("六（十六）", "实现全市主要品牌快递企业电子运单使用率达到90%以上"), HEZHOU: ("二（六）16", "推广使用电子面单"), WULONG: ("二（四）1", "鼓励使用电子运单")},
    "green_packaging": {
        HOHHOT: ("六（十七）", "快递绿色包材使用率不断提高"), HEZHOU: ("二（六）16", "鼓励使用绿色包装技术材料和开展循环利用"), YUNNAN: ("六（二十一）", "推广应用绿色包装技术和材料"),
        WULONG: ("二（五）2", "推广应用绿色包装技术和材料"),
    },
    "narrow_tape": {HOHHOT: ("六（十七）", "积极宣贯实施快递封装用品国家标准和邮政业封装用胶带等行业标准")},
    "real_name": {SHAOXING: ("七", "更好落实实名寄递制度"), YUNNAN: ("一（四）", "完善寄递业实名收寄制度"), WULONG: ("三（七）", "督促企业落实好“三项制度”")},
    "inspected": {YUNNAN: ("一（四）", "收寄验视信息监管系统"), WULONG: ("三（七）", "督促企业落实好“三项制度”")},
}  # fmt: skip
"""What is not in it (bags, repeated packaging) stands in no document."""
_PARKING, _DRAWN, _INTERRUPTIONS = "进一步提高停车设施利用率", "全面推行“双随机、一公开”监管", "建立数据中断等风险评估、提前通知和事先报告制度"
SECTIONS: dict[str, Clauses] = {
    "parking": {HOHHOT: ("三（十一）", _PARKING), HEZHOU: ("二（三）10", _PARKING), SHAOXING: ("五", _PARKING), YUNNAN: ("三（十一）", _PARKING)},
    "transit": CLAUSES["empty_run_ratio"],
    "interruptions": {HOHHOT: ("二（八）", _INTERRUPTIONS), YUNNAN: ("一（四）", _INTERRUPTIONS), WULONG: ("二（四）2", _INTERRUPTIONS)},
    "lists": {
        HEZHOU: ("二（三）9", "将快递企业和快递服务车辆驾驶人是否存在相关严重失信行为纳入征信评价体系"), YUNNAN: ("一（五）", "建立快递物流企业诚信体系"),
        WULONG: ("三（七）", "建立企业诚信评价机制和奖惩制度，定期发布企业诚信“红黑榜”"),
    },
    "draw": {
        HOHHOT: ("二（五）", _DRAWN), HEZHOU: ("二（一）1", _DRAWN), SHAOXING: ("十", "推行“双随机、一公开”监管"), YUNNAN: ("一（一）", _DRAWN),
        WULONG: ("三（三）", "全面推进“双随机、一公开”监管"),
    },
}  # fmt: skip
"""The same of what is no single figure: loading zones, time in transit, interruptions of data, the red and the black list, the draw."""
_TITLES = {
    HOHHOT: "呼和浩特市人民政府办公室关于推进电子商务与快递物流协同发展的实施意见", HEZHOU: "贺州市推进电子商务与快递物流协同发展实施方案",
    SHAOXING: "绍兴市人民政府办公室关于推进电子商务与快递物流协同发展的实施意见", YUNNAN: "云南省人民政府办公厅关于推进电子商务与快递物流协同发展的实施意见",
    WULONG: "武隆区推进电子商务与快递物流协同发展实施方案",
}  # fmt: skip


def clauses_of(city: str, title: str, spoken: dict[str, Clauses] = CLAUSES) -> Clauses:
    """Measure or section → clause and words, of a city (adcode) whose document has this title; empty for any other document.

    >>> clauses_of("150100", _TITLES["150100"])["locker"], clauses_of("150100", "another document")
    (('四（十二）', '提升箱递率'), {})
    """
    return {about: by_city[city] for about, by_city in spoken.items() if city in by_city} if title == _TITLES.get(city) else {}
