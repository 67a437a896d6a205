// The words of the policy's view.
import { addWords } from './words.js';

addWords({
  policyTabs: ['规则页面', 'The policy'], packTab: ['政策包', 'The pack'], appliesTab: ['此时此地', 'What applies'], drawTab: ['划定区域', 'Draw zones'],
  appliesHow: ['在地图上点一处，或填写坐标；再选日期和时刻（当地时间）。', 'Click a place on the map or type it, and choose a date and time (local).'],
  longitude: ['经度', 'Longitude'], latitude: ['纬度', 'Latitude'], localTime: ['当地日期和时刻', 'Local date and time'], wholeDay: ['全天', 'The whole day'], ask: ['查询', 'Ask'], atStreamTime: ['用数据时间', 'Stream time'], mapCentre: ['取地图中心', "The map's centre"],
  noZoneHere: ['不在任何区域内', 'In no zone'], needPlace: ['请填写经度和纬度，或在地图上点一处。', 'Give longitude and latitude, or click a place on the map.'], needTime: ['请选择日期和时刻。', 'Choose a date and time.'],
  newZone: ['新建区域', 'New zone'], cutHole: ['挖空', 'Cut out a hole'], undo: ['撤销', 'Undo'], redo: ['重做', 'Redo'], dropDraft: ['放弃草稿', 'Drop the draft'],
  drawHow: ['在地图上依次点出各角；Enter 完成，Backspace 去掉最后一点，Esc 取消。键盘：方向键移动地图，空格在地图中心加点。', 'Click the corners on the map; Enter closes, Backspace removes the last, Escape cancels. By keyboard: arrows move the map, Space adds its centre.'],
  pointsSoFar: ['已有 {0} 点', '{0} points'], closeRing: ['完成', 'Close it'], removeLast: ['去掉最后一点', 'Remove the last'], addCentre: ['在地图中心加点', "Add the map's centre"], cancelDrawing: ['取消', 'Cancel'], needThree: ['至少要三个点。', 'It needs at least three points.'],
  chooseZone: ['区域', 'Zone'], noneChosen: ['（在地图上点一个区域，或在此选择）', '(click one on the map, or choose here)'], changedMark: ['{0}（已改）', '{0} (changed)'],
  zoneId: ['编号', 'Id'], zoneKind: ['类别', 'Kind'], nameZh: ['中文名称', 'Name in Chinese'], nameEn: ['英文名称', 'Name in English'], isExample: ['示例，非文件划定', 'An example, not drawn by the document'], removeZone: ['删除此区域', 'Remove this zone'],
  pointsOf: ['各点坐标（{0}）', 'Its points ({0})'], outline: ['外边界', 'Outline'], part: ['第 {0} 部分外边界', 'Outline of part {0}'], hole: ['挖空 {0}', 'Hole {0}'], insertAfter: ['在其后插入一点', 'Insert a point after it'], removePoint: ['删除此点', 'Remove this point'], pointOf: ['第 {0} 点，共 {1} 点；方向键移动，Delete 删除', 'Point {0} of {1}; arrows move it, Delete removes it'], insertHere: ['在此插入一点', 'Insert a point here'],
  keepsThree: ['外边界至少保留三个点；可以删除整个区域。', 'An outline keeps three points; the whole zone can be removed.'], needDegrees: ['请填写 −180 至 180 的经度或 −90 至 90 的纬度。', 'Give a longitude from −180 to 180, or a latitude from −90 to 90.'],
  areaIs: ['面积约 {0}', 'Its area is about {0}'], allFine: ['检查通过，政策包可以使用。', 'Checked: the pack can have it.'], ofZone: ['区域“{0}”：{1}', 'Zone “{0}”: {1}'], checking: ['正在检查 …', 'checking …'],
  whoInside: ['现在和昨日此时谁在其中', 'Who is inside now, and yesterday at this hour'], count: ['查询', 'Count'], nowAt: ['现在（{0}）', 'Now ({0})'], yesterdayAt: ['昨日此时（{0}）', 'Yesterday at this hour ({0})'], insideOf: ['{0} 辆，有位置的共 {1} 辆', '{0} of {1} with a position'], ofThemSilent: ['，其中失联 {0} 辆', ', {0} of them silent'],
  notWhole: ['记录太多，只读了一部分。', 'There were too many records; only part was read.'], nothingKept: ['没有保存当时的位置。', 'No positions of then are kept.'], nobodyInside: ['没有车辆。', 'No vehicle.'], unknownEnterprise: ['企业不详', 'Enterprise not known'], moreVehicles: ['另有 {0} 辆', '{0} more'], replayedDay: ['回放只有这一天：昨日取自同一天同一时刻。', 'The replay has one day only: yesterday is taken from the same hour of it.'],
  exportFile: ['导出 GeoJSON', 'Export GeoJSON'], exported: ['已导出 {0}。放在政策包旁边代替原文件，然后运行 ./yicheng policy check 和 publish。', 'Exported {0}. Put it beside the pack in place of the file there, then run ./yicheng policy check and publish.'], notExported: ['还不能导出：{0}', 'It cannot be exported yet: {0}'],
  neverLive: ['这里只画草稿，不会改动正在使用的政策。草稿保存在此浏览器中。', 'This draws a draft; the live policy is not changed. Drafts are kept in this browser.'], draftKept: ['已载入此浏览器中保存的草稿。', 'The draft that this browser kept is shown.'], draftOther: ['草稿开始以后，政策包的区域已有变化；导出的文件会取代它们。', "The pack's zones have changed since this draft was begun; an export takes their place."],
});
