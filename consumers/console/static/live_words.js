// Words of the Live view: Chinese and English.
export const LIVE_WORDS = {
  lag: ['待处理', 'Lag'], lagOf: ['尚未由 worker 处理的记录数', 'Records that no worker has judged yet'], lagStill: ['没有 worker 在处理', 'no worker is judging'], noFixYet: ['还没有收到定位', 'No fix has come yet'],
  noRateYet: ['今天还没有收寄扫描，因此没有比例', 'No parcel has been accepted yet today, so there is no share'], noForecast: ['收寄开始后才有预计', 'A forecast comes once parcels are accepted'], noTarget: ['政策包没有规定目标', 'The pack sets no target'], targetOnlyOf: ['目标只针对{0}', 'The target concerns only {0}'],
  standsStill: ['自 {0} 起没有新数据', 'No new data since {0}'],
  city: ['城市', 'City'], allCities: ['全部城市', 'All cities'], shownOf: ['显示 {0} / 共 {1} 起', '{0} of {1} incidents'], olderOnes: ['（另有 {0} 起更早的未列出）', ' ({0} older ones are not listed)'], moreOlder: ['再显示更早的', 'Show older ones'], clear: ['清除筛选', 'Clear filters'],
  heat: ['时段分布', 'By hour'], hour: ['时段', 'Hour'], allHours: ['全天', 'All hours'], place: ['地点', 'Place'], countOf: ['数量', 'Count'], noneThen: ['这个时段没有事件。', 'None in this hour.'],
  countedAt: ['{0} 起，{1} 处', '{0} incidents at {1} places'], placeless: ['另有 {0} 起没有位置', '{0} more have no place'], newestRows: ['只列出前 {0} 行，共 {1} 行。', 'The first {0} of {1} rows.'], heatLegend: ['每处的事件数', 'Incidents per place'],
  notified: ['通知情况', 'Notified'], noneNotified: ['没有发出过通知。', 'Nobody was notified.'], pending: ['等待发送', 'waiting'], delivered: ['已送达', 'delivered'], failed: ['失败', 'failed'], dropped: ['未发送', 'not sent'], sinkOff: ['通知渠道已停用', 'sink switched off'], sinkOffWhy: ['该渠道连续多日失败，已停用；恢复：./yicheng notifier failed retry --sink 渠道名', 'It failed for days and is switched off; ./yicheng notifier failed retry --sink NAME switches it on'],
  tries: ['尝试 {0} 次', '{0} tries'], due: ['将于 {0} 发送', 'due {0}'], revisionNo: ['第 {0} 版', 'revision {0}'], escalation: ['升级第 {0} 步', 'step {0}'], taken: ['对方已接收', 'taken'],
  east: ['东经{0}°', '{0}° E'], west: ['西经{0}°', '{0}° W'], north: ['北纬{0}°', '{0}° N'], south: ['南纬{0}°', '{0}° S'], zoomIn: ['放大', 'Zoom in'], zoomOut: ['缩小', 'Zoom out'], mapKeys: ['可用方向键移动的地图', 'Map to move with the arrow keys'],
  clusterOf: ['{0} 辆车', '{0} vehicles'], clusterOffends: ['违规中 {0} 辆', '{0} offending'], clusterSilent: ['失联 {0} 辆', '{0} silent'],
  claim: ['豁免与依据', 'Exemptions and basis'],
  print: ['打印', 'Print'], printedAt: ['打印于 {0}', 'Printed {0}'], incidentNo: ['事件编号', 'Incident'],
  driverPapers: ['驾驶人资料', "Drivers' papers"], noDrivers: ['登记表中没有驾驶人。', 'The register names no driver.'], trainedUntil: ['培训至 {0}', 'trained until {0}'], insuredUntil: ['保险至 {0}', 'insured until {0}'],
  notTrained: ['无培训记录', 'no training on file'], notInsured: ['无保险记录', 'no insurance on file'], driverUnknown: ['未登记', 'not on file'], lapsed: ['已过期', 'lapsed'],
  suspended: ['已停用', 'suspended'], scrapped: ['已报废', 'scrapped'], registered: ['登记状态', 'Registration'],
  wall: ['大屏', 'Wall display'], wallLoggedOut: ['登录已结束，画面不再更新：请在本机浏览器中重新登录（Esc）。', 'The session has ended and nothing goes on: log in again in this browser (Escape).'], wallOpen: ['未结事件 {0} 起', '{0} open incidents'], wallNoneOpen: ['目前没有未结事件。', 'No incident is open.'], wallMore: ['另有 {0} 项', 'and {0} more'], wallOutlets: ['网点 {0} 处', '{0} outlets'],
};
