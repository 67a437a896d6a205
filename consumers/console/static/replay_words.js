// What the Replay view says, in Chinese and English.
export const REPLAY_WORDS = {
  replay: ['回放', 'Replay'], replayTitle: ['回放一小时', 'Replay an hour'], replayHour: ['起始时间（当地）', 'Hour from (local time)'], replayVehicle: ['添加车辆：编号或车牌', 'Add a vehicle: number or plate'],
  add: ['添加', 'Add'], remove: ['移除 {0}', 'Remove {0}'], followIt: ['跟随', 'Follow'], followLabel: ['地图跟随 {0}', 'Keep the map on {0}'], play: ['播放', 'Play'], pause: ['暂停', 'Pause'], replaySpeed: ['播放速度', 'Playback speed'], scrubber: ['回放时刻', 'Time of the replay'],
  replayEmpty: ['请选择要回放的车辆，最多 {0} 辆。', 'Choose the vehicles to replay, up to {0}.'], replayReading: ['正在读取 {0} …', 'reading {0} …'], noFixesThen: ['这一小时没有该车的定位。', 'No fixes of this vehicle in this hour.'], fixesThen: ['定位 {0} 个，停留 {1} 次', '{0} fixes, {1} stops'], oneFixThen: ['定位 {0} 个，停留 {1} 次', '{0} fixes, {1} stop'],
  stopsTitle: ['停留', 'Stops'], stopIs: ['停留：车辆在 {0} 米范围内至少停了 {1} 分钟。定位间隔超过 5 分钟的，其间位置不详，不连线、不计停留。', 'A stop: the vehicle stayed within {0} m for at least {1} min. Where fixes are more than 5 min apart nobody knows where it was: no line is drawn, and no stop counted.'],
  noStops: ['这一小时没有停留。', 'No stops in this hour.'], stopFrom: ['开始', 'From'], stopLength: ['时长', 'Length'], stopGo: ['跳到 {0} 的停留，{1}', 'Go to the stop of {0} at {1}'],
  tooManyVehicles: ['最多同时回放 {0} 辆车；请先移除一辆。', 'No more than {0} vehicles at once; remove one first.'], alreadyChosen: ['{0} 已在列表中。', '{0} is already chosen.'], notReplayed: ['未能读取：{0}', 'Could not be read: {0}'],
  exportTitle: ['导出这一小时（WGS-84）', 'Export this hour (WGS-84)'], replaySpeedCurve: ['车速（公里/小时）', 'Speed (km/h)'], noSpeeds: ['选择车辆后，这里显示车速曲线。', 'The speed curve appears here once a vehicle is chosen.'], replayDock: ['播放', 'Playback'], replayKeys: ['空格：播放或暂停；← →：前后 10 秒（按住 Shift 为 1 分钟）', 'Space: play or pause; ← →: 10 s back or on (1 min with Shift)'],
  replayIt: ['回放最近一小时', 'Replay the last hour'], replayIncident: ['回放此事件前后', 'Replay the hour around this'], notKnownNow: ['此刻无定位', 'no fix at this time'],
};
