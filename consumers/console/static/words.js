// What the page says, in Chinese and English, and how it writes numbers and times: those of the city, whatever the browser's timezone.
import { LIVE_WORDS } from './live_words.js';
import { REPLAY_WORDS } from './replay_words.js';

const WORDS = {
  ...LIVE_WORDS,
  ...REPLAY_WORDS,
  skip: ['跳到正文', 'Skip to the content'], streamTime: ['数据时间', 'Stream time'], vehicles: ['车辆', 'Vehicles'], fixesPerS: ['定位/秒', 'Fixes/s'],
  electronic: ['电子运单率', 'E-waybills'], green: ['绿色包装率', 'Green packaging'], open: ['未结事件', 'Open incidents'], unanswered: ['未回复', 'Unanswered'],
  langLabel: ['Switch to English', '切换到中文'], themeLabel: ['切换明暗', 'Switch light and dark'], map: ['地图', 'Map'], legend: ['图例', 'Legend'],
  lists: ['列表', 'Lists'], incidents: ['事件', 'Incidents'], zones: ['区域', 'Zones'], filters: ['筛选', 'Filters'], search: ['编号或车牌', 'Number or plate'],
  rule: ['规则', 'Rule'], severity: ['程度', 'Severity'], basis: ['依据', 'Basis'], enterprise: ['企业', 'Enterprise'], onlyUnanswered: ['仅未回复', 'Unanswered only'],
  allRules: ['全部规则', 'All rules'], allSeverities: ['全部程度', 'All severities'], allBases: ['全部依据', 'All bases'], allEnterprises: ['全部企业', 'All enterprises'],
  violation: ['违规', 'Violation'], warning: ['提醒', 'Warning'], stated: ['文件要求', 'Stated'], encouraged: ['文件鼓励', 'Encouraged'], illustrative: ['示例', 'Illustrative'],
  moving: ['行驶', 'Moving'], standing: ['停驻', 'Standing'], offending: ['违规中', 'Offending'], silent: ['失联', 'Silent'],
  closed: ['禁止驶入', 'No entry'], no_stopping: ['禁止停车', 'No stopping'], limited: ['限时限速', 'Limits apply'], area: ['运营区域', 'Operating area'], free: ['当前不限', 'Nothing forbidden now'],
  until: ['至 {0}', 'until {0}'], always: ['全天', 'around the clock'], stateOpen: ['进行中', 'Open'], stateClosed: ['已结束', 'Ended'],
  acknowledged: ['已确认', 'Acknowledged'], dismissed: ['已驳回', 'Dismissed'], noted: ['备注', 'Note'], fined: ['已处罚', 'Fined'], objected: ['企业申诉', 'Objection'], upheld: ['申诉成立', 'Objection upheld'], rejected: ['申诉不成立', 'Objection rejected'], objectedTo: ['申诉待裁定', 'Objection to decide'],
  decideObjection: ['企业对此事件提出申诉，请裁定：成立则事件视为驳回，不成立则维持原处理。', 'The enterprise objects. Uphold it, and the incident counts as dismissed; reject it, and the answer of before stands.'], uphold: ['申诉成立', 'Uphold'], reject: ['申诉不成立', 'Reject'],
  acknowledge: ['确认', 'Acknowledge'], dismiss: ['驳回', 'Dismiss'], note: ['加备注', 'Add note'], by: ['回复人', 'Answered by'], reason: ['原因或备注（驳回、申诉不成立、备注必填）', 'Reason or note (needed to dismiss, reject or note)'],
  needReason: ['请先填写原因。', 'Please give a reason first.'], sending: ['正在提交 …', 'sending …'], sent: ['已提交：{0}', 'Sent: {0}'], notSent: ['未能提交：{0}', 'Not sent: {0}'],
  noIncidents: ['过去一天没有事件。', 'No incidents in the last day.'], noMatch: ['没有符合筛选条件的事件。', 'No incident matches the filters.'], noVehicles: ['还没有车辆上报位置。', 'No vehicle has reported yet.'],
  noVehicleMatch: ['没有符合的车辆。', 'No vehicle matches.'], more: ['再显示 {0} 条', 'Show {0} more'],
  back: ['返回列表', 'Back to the list'], close: ['关闭', 'Close'], vehicle: ['车辆', 'Vehicle'], plate: ['车牌', 'Plate'], zone: ['区域', 'Zone'], outlet: ['网点', 'Outlet'], line: ['线路', 'Line'],
  from: ['开始', 'Began'], lastSeen: ['最近', 'Last seen'], ended: ['结束', 'Ended'], fixes: ['证据数', 'Evidence'], clauseSays: ['文件依据', 'What the document says'], clause: ['条款', 'Clause'], document: ['文件', 'Document'],
  duty: ['条文对象', 'Addressed to'], lead: ['牵头单位', 'Lead authority'], reading: ['本包的理解', 'As read here'], standsIn: ['以示例规则代之，主管部门应另行制定', 'By way of example, in place of rules that the authorities are to make'], responsible: ['责任单位', 'Responsible'], nobody: ['文件未列明', 'the document names none'], continuedBy: ['文件期满后由其继续适用', 'Goes on after its end'],
  evidence: ['证据', 'Evidence'], answers: ['回复', 'Answers'], noAnswers: ['尚无回复。', 'Nobody has answered yet.'], link: ['此事件的链接', 'Link to this incident'], synthetic: ['演练数据', 'Test traffic'],
  state: ['状态', 'State'], speed: ['车速', 'Speed'], lastFix: ['最近定位', 'Last fix'], vehicleClass: ['车型', 'Class'], energy: ['能源', 'Energy'], insured: ['保险至', 'Insured until'], drivers: ['驾驶人', 'Drivers'], driver: ['驾驶人', 'Driver'],
  notOnFile: ['未登记备案的车辆', 'Not on file'], lastHour: ['最近一小时的车速（公里/小时）', 'Speed in the last hour (km/h)'], noTrack: ['最近一小时没有轨迹。', 'No track in the last hour.'], today: ['过去一天的事件', 'Incidents of the last day'],
  noneToday: ['没有事件。', 'None.'], forecast: ['预计 {0}', 'forecast {0}'], target: ['目标 {0}', 'target {0}'], noRate: ['暂无数据', 'no data yet'], kmh: ['{0} 公里/小时', '{0} km/h'], ago: ['{0}前', '{0} ago'],
  lost: ['与控制台服务的连接中断，正在重连；页面显示的是 {0} 的情况。', 'The connection to the console is lost; trying again. The page shows how things were at {0}.'],
  tooManyViewers: ['同时查看控制台的人太多，页面暂时不再更新；稍后会自动重试。', 'Too many people are watching the console, so this page does not go on for now; it tries again by itself.'],
  fresh: ['连接已恢复，列表已重新载入。', 'Connected again; the lists were loaded anew.'], loading: ['正在载入 …', 'loading …'], unknown: ['没有相关记录', 'Nothing is known of this'],
  unknownIncident: ['这里只有过去一天的事件；更早的可用 ./yicheng incidents list 查看。', 'Only the last day’s incidents are here; ./yicheng incidents list shows older ones.'], unknownVehicle: ['没有这辆车的登记、位置或事件。', 'No vehicle of this number is on file, has sent a fix or has an incident.'],
  webglLost: ['浏览器收回了地图的绘图资源，恢复后地图会自动重绘；右侧的列表照常更新。若长时间不恢复，请刷新页面。', 'The browser has taken the map’s graphics away. The map is drawn again when they are back; the lists go on. If that takes long, reload the page.'],
  noWebgl: ['此浏览器无法使用 WebGL，因此没有地图；右侧的列表和表格包含同样的信息。', 'This browser has no WebGL, so there is no map; the lists hold the same information.'],
  replaying: ['回放', 'Replay'], replayNote: ['这是已记录的一天的回放，不接受回复。', 'This replays a recorded day; answers are not taken.'],
  views: ['页面', 'Views'], live: ['实时', 'Live'], rates: ['指标', 'Rates'], policy: ['规则', 'Policy'], wholeCity: ['全市', 'The whole city'], acceptedCount: ['收寄件数', 'Accepted'],
  outlets: ['网点', 'Outlets'], onFile: ['已备案', 'On file'], notFiled: ['未备案', 'Not on file'], filedUnknown: ['备案不详', 'Not known'], camera: ['监控', 'Camera'], container: ['回收箱', 'Recycling'], township: ['乡镇街道', 'Township'],
  yes: ['有', 'yes'], no: ['无', 'no'], unknownYet: ['不详', '–'], facilities: ['设施', 'Facilities'], routes: ['配送线路', 'Delivery lines'], noOutlets: ['登记表中没有网点。', 'The register has no outlets.'], outletsAre: ['网点 {0} 处：已备案 {1}，未备案 {2}', '{0} outlets: {1} on file, {2} not'],
  searchOutlets: ['编号、企业或乡镇', 'Number, enterprise or township'], colouredBy: ['着色', 'Colours'], withCamera: ['有监控', 'With a camera'], withoutCamera: ['无监控', 'Without a camera'], cameraUnknown: ['监控不详', 'Camera not known'], withContainer: ['有回收箱', 'Recycles'], withoutContainer: ['无回收箱', 'Does not recycle'], containerUnknown: ['回收箱不详', 'Recycling not known'],
  facility: ['设施', 'Facility'], level: ['层级', 'Level'], villageName: ['村', 'Village'], noFacilities: ['登记表中没有设施。', 'The register has no facilities.'], noLines: ['登记表中没有配送线路。', 'The register has no delivery lines.'], noneFound: ['没有符合的记录。', 'Nothing matches.'], rowsOf: ['显示 {0} / 共 {1}', '{0} of {1}'],
  hub: ['枢纽', 'Hub'], county: ['县级中心', 'County centre'], 'township-level': ['乡镇站点', 'Township station'], village: ['村级站点', 'Village station'], pickup_point: ['取送点', 'Pick-up point'],
  inUse: ['近30天有扫描 {0}', '{0} with scans in 30 days'], ratesOf: ['{0} 的各项指标', 'Rates of {0}'], byDay: ['逐日', 'By day'], byDayOf: ['{0}逐日', 'By day: {0}'], asTable: ['以表格显示', 'As a table'], date: ['日期', 'Date'], noDays: ['没有这家企业的数据。', 'Nothing is known of this enterprise.'], oneDayOnly: ['只有一天的数据；满两天后显示曲线。', 'There is one day only; lines appear from the second day on.'],
  figuresAre: ['指标与目标', 'Measures and targets'], measure: ['指标', 'Measure'], value: ['现值', 'Now'], targetHead: ['目标', 'Target'], byDate: ['期限', 'By'], byOperator: ['运营方设定', "the operator's own"], courseOf: ['{0} {1} 逐分钟', 'Minute by minute on {1}: {0}'], courseSays: ['实线：当日截至每分钟的比率；点线：按最近一小时推算到当日结束；虚线：目标；柱：每十分钟新成立的事件。点击企业名称查看该企业。', 'Solid: the share of the day so far, minute by minute; dotted: to the end of the day at the pace of the last hour; dashed: the target; bars: incidents opened in each ten minutes. Choose an enterprise by its name.'], forecastOf: ['预计当日 {0}', 'forecast {0}'], openedFrom: ['{0} 起十分钟：{1} 起事件', '{1} incidents in the ten minutes from {0}'], shareNow: ['现为 {0}', 'now {0}'], ofParcels: ['各项占比以有申报的快件为准，没有申报的不计入。', 'Each share is of the parcels that say it; what nobody reported does not count.'],
  noRates: ['还没有收寄扫描，因此没有指标。', 'No parcels have been accepted yet, so there are no rates.'], noPolicy: ['尚未发布政策包。', 'No pack is published yet.'], rulesAre: ['规则（共 {0} 条）', 'Rules ({0})'], targetsAre: ['目标', 'Targets'], noTargets: ['没有目标。', 'There are none.'],
  number: ['编号', 'Number'], inForce: ['现行', 'In force'], otherTimes: ['其他时段', 'At other times'], exampleZone: ['示例区域', 'Example zone'], locate: ['在地图上显示', 'Show on the map'], fit: ['全城', 'Whole city'],
  // who may
  consoleOf: ['快递车辆与快件监管控制台', 'Courier operations console'], logIn: ['登录', 'Log in'], logOut: ['退出登录', 'Log out'], userName: ['用户名', 'User name'], password: ['密码', 'Password'],
  wrongLogin: ['用户名或密码不正确。', 'No such name, or another password.'], busyLogin: ['服务器暂时无法受理登录，请稍后再试。', 'The server cannot log you in now; try again in a moment.'], waitLogin: ['尝试次数过多，请在 {0} 秒后重试。', 'Too many attempts; try again in {0} s.'],
  failedLogin: ['登录未成功，请重新载入页面后再试。', 'That did not work; load the page anew and try again.'], noServer: ['无法连接控制台服务，请稍后再试。', 'The console does not answer; try again in a moment.'],
  auditLog: ['审计日志', 'Audit log'], auditFits: ['共 {0} 行，逐行吻合；最新的在前。', 'Lines: {0}; each fits the one before. The newest come first.'], auditBroken: ['第 {0} 行与前一行不符：日志被改动过。', 'Line {0} does not fit the one before: the log was changed.'], auditEmpty: ['还没有记录。', 'Nothing has been written down yet.'],
  'line-number': ['行', 'Line'], who: ['操作人', 'By'], time: ['时间', 'Time'], action: ['操作', 'Action'], about: ['内容', 'About'], colon: ['：', ': '], 'about-address': ['地址', 'from'], 'about-issuer': ['登录服务', 'issuer'], 'about-incident_id': ['事件', 'incident'], 'about-vehicle_id': ['车辆', 'vehicle'], 'about-reason': ['原因', 'reason'], 'about-what': ['内容', 'what'],
  'did-login': ['登录', 'Logged in'], 'did-login refused': ['登录被拒', 'Login refused'], 'did-logout': ['退出登录', 'Logged out'], 'did-unmasked': ['显示驾驶人', 'Unmasked'], 'did-exported': ['导出', 'Exported'], 'did-not published': ['未能写入 Kafka', 'Not published'],
  'did-acknowledged': ['确认', 'Acknowledged'], 'did-dismissed': ['驳回', 'Dismissed'], 'did-noted': ['备注', 'Noted'], 'did-fined': ['处罚', 'Fined'], 'did-objected': ['申诉', 'Objected'], 'did-upheld': ['申诉成立', 'Objection upheld'], 'did-rejected': ['申诉不成立', 'Objection rejected'],
  byProvider: ['使用单位账号登录', 'Log in with your organisation'], againLogin: ['登录已超时，或不是从本浏览器开始的，请重新登录。', 'That took too long, or was begun in another browser; log in again.'], refusedLogin: ['单位登录服务未予登录；原因见控制台日志。', 'Your organisation’s login did not let you in; the console’s log says why.'],
  noRoleLogin: ['您的账号没有本控制台的角色，请联系管理员。', 'Your account has no role for this console; ask its administrator.'], noProvider: ['单位登录服务没有应答，请稍后再试。', 'Your organisation’s login does not answer; try again in a moment.'],
  sessionOverPage: ['会话已结束，请重新登录。', 'Your session has ended; log in again.'], sessionOver: ['会话已结束', 'Your session has ended'], sessionOverNote: ['请重新登录；页面内容和正在填写的内容都会保留。', 'Log in again: the page, and what you were writing, stay as they are.'], loggedInAs: ['{0}（{1}）', '{0} ({1})'],
  'role-viewer': ['查看者', 'Viewer'], 'role-officer': ['民警', 'Officer'], 'role-admin': ['管理员', 'Admin'],
  'may-viewer': ['只能查看；车牌和驾驶人已隐去。', 'Viewers only look; plates and drivers are masked.'], 'may-officer': ['可以回复事件；驾驶人须说明原因才能显示。', 'Officers answer incidents, and see drivers once they say why.'], 'may-admin': ['可以使用全部功能；驾驶人须说明原因才能显示。', 'Admins may do everything, and see drivers once they say why.'],
  searchNumber: ['编号', 'Number'], unmask: ['显示 …', 'Show …'], unmaskNow: ['显示', 'Show'], unmaskReason: ['原因（将被记录）', 'Reason (is logged)'],
};
/** Words of a view of its own, in Chinese and English. */
export const addWords = (words) => Object.assign(WORDS, words);
const NUMBERS = { zh: 'zh-CN', en: 'en-GB' };
let timezone = 'Asia/Shanghai';
const formats = new Map();

export const lang = () => window.prefs.lang;
export const setTimezone = (name) => { timezone = name || timezone; formats.clear(); };

export function t(key, ...values) {
  const words = WORDS[key]?.[lang() === 'zh' ? 0 : 1] ?? key;
  return values.reduce((text, value, place) => text.replace(`{${place}}`, () => value), words);
}
export const say = (both) => (both ? both[lang()] ?? both.zh ?? both.en ?? '' : '');
/** A zone's name without the remark that it is an example, which stands beside it. */
export const zoneName = (zone) => zone[`name_${lang()}`].replace(/\s*[（(](示意|示例|illustrative)[)）]$/, '');
export const number = (value) => value.toLocaleString(NUMBERS[lang()]);
export const percent = (share, digits = 1) => share.toLocaleString(NUMBERS[lang()], { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });

function format(name, options) {
  const key = `${lang()} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(NUMBERS[lang()], { timeZone: timezone, hourCycle: 'h23', ...options }));
  return formats.get(key);
}
const HOUR = { hour: '2-digit', minute: '2-digit' };
export const clock = (ms) => format('clock', { ...HOUR, second: '2-digit' }).format(ms);
export const day = (ms) => format('day', { month: 'short', day: 'numeric', weekday: 'short' }).format(ms);
/** A day in the city, with its year: 2026/06/26, 26 Jun 2026. */
const date = (ms) => format('date', { year: 'numeric', month: lang() === 'zh' ? '2-digit' : 'short', day: '2-digit' }).format(ms);
/** The same of a day as records have it, YYYY-MM-DD. */
export const calendarDay = (text) => { const ms = Date.parse(`${text}T12:00Z`); return Number.isNaN(ms) ? text : date(ms); };
export const moment = (ms, nowMs) => (date(ms) === date(nowMs) ? clock(ms) : `${format('md', { month: 'short', day: 'numeric' }).format(ms)} ${clock(ms)}`);
export const instant = (ms) => `${date(ms)} ${clock(ms)}`;
/** From one minute to another; of one day its date is said once. */
export const minutes = (from, to) => [from, to].map((ms, place) => `${place && date(from) === date(to) ? '' : `${date(ms)} `}${format('hm', HOUR).format(ms)}`).join(' – ');
/** A local date and time as inputs have it: YYYY-MM-DDTHH:MM. */
export const localInput = (ms) => new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' }).format(ms).replace(' ', 'T');
/** Until when something goes on, in words; null: no change is in sight. */
export const until = (ms, nowMs) => {
  if (ms === null) return t('always');
  const hour = format('hm', HOUR).format(ms);
  return t('until', date(ms) === date(nowMs) ? hour : `${format('wd', { weekday: 'short' }).format(ms)} ${hour}`);
};
export function span(seconds) {
  const [value, zh, en] = seconds < 90 ? [seconds, '秒', 's'] : seconds < 5400 ? [seconds / 60, '分钟', 'min'] : [seconds / 3600, '小时', 'h'];
  return `${Math.round(value)} ${lang() === 'zh' ? zh : en}`;
}

/** Elements that say a word of this page: data-t as text, data-l as label, data-p as placeholder. */
export function translate(root = document) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-l]')) { element.setAttribute('aria-label', t(element.dataset.l)); if (element.tagName === 'BUTTON') element.title = t(element.dataset.l); }
  for (const element of root.querySelectorAll('[data-p]')) element.placeholder = t(element.dataset.p);
}
