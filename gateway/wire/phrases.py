# ruff: noqa: RUF001
"""The phrases of the codebook. Each has the same meaning in every language.

CODES ARE STABLE FOR EVER. A code is never renumbered, reused or given another meaning, and the
slots of a code never change in number, order or type: the far station may have another version.
To change a phrase, add a new code. Correcting the wording of a template is allowed where its
meaning stays.

Kept in mind: counts stand behind a label, so that no language needs a plural; an Arabic template
begins with an Arabic word and has one between two slots, so that the slots keep their order on a
screen; the exact place and period are fields of the notice, which every screen shows beside the
text. (RUF001: Cyrillic letters that look Latin are meant.)
"""

from __future__ import annotations

from typing import Final

from gateway.model import Kind
from gateway.wire.phrase_entry import PhraseEntry, Slot, SlotType

_UNIT: Final = Slot("unit", SlotType.CALLSIGN)
_COUNT: Final = Slot("count", SlotType.COUNT)
_ORIGIN: Final = Slot("origin", SlotType.PLACE)
_DESTINATION: Final = Slot("destination", SlotType.PLACE)
_PLACE: Final = Slot("place", SlotType.PLACE)
_TIME: Final = Slot("time", SlotType.TIME)
_DISTANCE: Final = Slot("distance_m", SlotType.NUMBER)
_PRECEDENCE: Final = Slot("precedence", SlotType.PRECEDENCE)
_CHALLENGE: Final = Slot("challenge", SlotType.TEXT)
_OFFICER: Final = Slot("officer", SlotType.TEXT)
_SERIAL: Final = Slot("serial", SlotType.COUNT)

_AREA_AND_PERIOD: Final = ("place", "window")
_AREA: Final = ("place",)
_PERIOD: Final = ("window",)
_REFERENCE: Final = ("reference",)

_DANGER: Final = (Kind.WARNING, Kind.REPORT)


def _entry(
    code: int,
    kinds: tuple[Kind, ...],
    *slots: Slot,
    needs: tuple[str, ...] = (),
    en: str,
    fr: str,
    ru: str,
    ar: str,
) -> PhraseEntry:
    templates = {"en": en, "fr": fr, "ru": ru, "ar": ar}
    return PhraseEntry(code=code, kinds=kinds, slots=slots, needs=needs, templates=templates)


# fmt: off
# (An entry's code, kinds, slots and needs stay on one line.)
PHRASES: Final = (
    # 10-29: intended activities.
    _entry(10, (Kind.NOTIFY,), _UNIT, _COUNT, needs=_AREA_AND_PERIOD,
        en=(
            "Planned flight of unit {unit} in the stated area during the stated period. "
            "Aircraft: {count}."
        ),
        fr=(
            "Vol prévu de l'unité {unit} dans la zone indiquée, pendant la période indiquée. "
            "Aéronefs : {count}."
        ),
        ru=(
            "Планируется полёт подразделения {unit} в указанном районе в указанный период. "
            "Количество летательных аппаратов: {count}."
        ),
        ar=(
            "طيران مخطط له للوحدة {unit} في المنطقة المحددة خلال الفترة المحددة. عدد الطائرات: "
            "{count}."
        ),
    ),
    _entry(11, (Kind.NOTIFY,), _UNIT, _COUNT, needs=_AREA_AND_PERIOD,
        en=(
            "Planned flight of unmanned aircraft of unit {unit} in the stated area during the "
            "stated period. Aircraft: {count}."
        ),
        fr=(
            "Vol prévu d'aéronefs sans équipage de l'unité {unit} dans la zone indiquée, pendant "
            "la période indiquée. Aéronefs : {count}."
        ),
        ru=(
            "Планируется полёт беспилотных летательных аппаратов подразделения {unit} в "
            "указанном районе в указанный период. Количество аппаратов: {count}."
        ),
        ar=(
            "طيران مخطط له لطائرات بدون طيار تابعة للوحدة {unit} في المنطقة المحددة خلال الفترة "
            "المحددة. عدد الطائرات: {count}."
        ),
    ),
    _entry(12, (Kind.NOTIFY,), _UNIT, _COUNT, _ORIGIN, _DESTINATION, needs=_PERIOD,
        en=(
            "Planned convoy of unit {unit} from {origin} to {destination} during the stated "
            "period. Vehicles: {count}."
        ),
        fr=(
            "Convoi prévu de l'unité {unit}, de {origin} à {destination}, pendant la période "
            "indiquée. Véhicules : {count}."
        ),
        ru=(
            "Планируется движение колонны подразделения {unit} из пункта {origin} в пункт "
            "{destination} в указанный период. Количество машин: {count}."
        ),
        ar=(
            "قافلة مخطط لها للوحدة {unit} من {origin} إلى {destination} خلال الفترة المحددة. عدد "
            "المركبات: {count}."
        ),
    ),
    _entry(13, (Kind.NOTIFY,), needs=_AREA_AND_PERIOD,
        en="Planned firing exercise in the stated area during the stated period.",
        fr="Exercice de tir prévu dans la zone indiquée, pendant la période indiquée.",
        ru="Планируются учебные стрельбы в указанном районе в указанный период.",
        ar="تمرين رماية مخطط له في المنطقة المحددة خلال الفترة المحددة.",
    ),
    _entry(14, (Kind.NOTIFY,), needs=_AREA_AND_PERIOD,
        en=(
            "Planned mine clearance in the stated area during the stated period. Controlled "
            "explosions are possible."
        ),
        fr=(
            "Déminage prévu dans la zone indiquée, pendant la période indiquée. Des explosions "
            "contrôlées sont possibles."
        ),
        ru=(
            "Планируется разминирование в указанном районе в указанный период. Возможны "
            "контролируемые взрывы."
        ),
        ar=(
            "عملية إزالة ألغام مخطط لها في المنطقة المحددة خلال الفترة المحددة. قد تحدث تفجيرات "
            "متحكم فيها."
        ),
    ),
    _entry(15, (Kind.NOTIFY,), _UNIT, _COUNT, _ORIGIN, _DESTINATION, needs=_PERIOD,
        en=(
            "Planned passage by sea of unit {unit} from {origin} to {destination} during the "
            "stated period. Vessels: {count}."
        ),
        fr=(
            "Transit maritime prévu de l'unité {unit}, de {origin} à {destination}, pendant la "
            "période indiquée. Navires : {count}."
        ),
        ru=(
            "Планируется морской переход подразделения {unit} из пункта {origin} в пункт "
            "{destination} в указанный период. Количество кораблей и судов: {count}."
        ),
        ar=(
            "عبور بحري مخطط له للوحدة {unit} من {origin} إلى {destination} خلال الفترة المحددة. "
            "عدد السفن: {count}."
        ),
    ),
    _entry(16, (Kind.NOTIFY,), _COUNT, _ORIGIN, _DESTINATION, needs=_PERIOD,
        en=(
            "Planned humanitarian convoy from {origin} to {destination} during the stated "
            "period. Vehicles: {count}."
        ),
        fr=(
            "Convoi humanitaire prévu de {origin} à {destination}, pendant la période indiquée. "
            "Véhicules : {count}."
        ),
        ru=(
            "Планируется движение гуманитарной колонны из пункта {origin} в пункт {destination} "
            "в указанный период. Количество машин: {count}."
        ),
        ar=(
            "قافلة إنسانية مخطط لها من {origin} إلى {destination} خلال الفترة المحددة. عدد "
            "المركبات: {count}."
        ),
    ),
    _entry(17, (Kind.NOTIFY,), needs=_AREA_AND_PERIOD,
        en="Planned search and rescue in the stated area during the stated period.",
        fr=(
            "Opération de recherche et de sauvetage prévue dans la zone indiquée, pendant la "
            "période indiquée."
        ),
        ru="Планируется поисково-спасательная операция в указанном районе в указанный период.",
        ar="عملية بحث وإنقاذ مخطط لها في المنطقة المحددة خلال الفترة المحددة.",
    ),
    _entry(18, (Kind.REPORT,), _TIME, needs=_REFERENCE,
        en="The activity that we announced ended at {time}.",
        fr="L'activité que nous avions annoncée a pris fin à {time}.",
        ru="Объявленная нами деятельность завершена в {time}.",
        ar="انتهى النشاط الذي أعلنا عنه في الوقت {time}.",
    ),
    # 30-49: warnings, and reports of what went wrong.
    _entry(30, _DANGER, _TIME, needs=_AREA,
        en="Unplanned fire from our side in the stated area at {time}. It was not ordered.",
        fr=(
            "Tir non planifié de notre côté dans la zone indiquée, à {time}. Ce tir n'a pas été "
            "ordonné."
        ),
        ru=(
            "В указанном районе в {time} с нашей стороны произошла незапланированная стрельба. "
            "Приказа на открытие огня не было."
        ),
        ar=(
            "حدث إطلاق نار غير مخطط له من جانبنا في المنطقة المحددة في الوقت {time}. لم يصدر أمر "
            "به."
        ),
    ),
    _entry(31, _DANGER, _COUNT, _TIME, needs=_AREA,
        en=(
            "Persons of our side crossed the boundary by mistake in the stated area at {time}. "
            "Persons: {count}."
        ),
        fr=(
            "Des personnes de notre côté ont franchi la ligne de séparation par erreur dans la "
            "zone indiquée, à {time}. Personnes : {count}."
        ),
        ru=(
            "Люди с нашей стороны по ошибке пересекли линию разграничения в указанном районе в "
            "{time}. Количество людей: {count}."
        ),
        ar=(
            "عبر أشخاص من جانبنا خط الفصل عن طريق الخطأ في المنطقة المحددة في الوقت {time}. عدد "
            "الأشخاص: {count}."
        ),
    ),
    _entry(32, _DANGER, _COUNT, _TIME, needs=_AREA,
        en=(
            "Aircraft of our side crossed the boundary by mistake in the stated area at {time}. "
            "Aircraft: {count}."
        ),
        fr=(
            "Des aéronefs de notre côté ont franchi la ligne de séparation par erreur dans la "
            "zone indiquée, à {time}. Aéronefs : {count}."
        ),
        ru=(
            "Летательные аппараты нашей стороны по ошибке пересекли линию разграничения в "
            "указанном районе в {time}. Количество аппаратов: {count}."
        ),
        ar=(
            "عبرت طائرات من جانبنا خط الفصل عن طريق الخطأ في المنطقة المحددة في الوقت {time}. "
            "عدد الطائرات: {count}."
        ),
    ),
    _entry(33, _DANGER, needs=_AREA,
        en="Unexploded ordnance in the stated area. Danger: do not enter.",
        fr="Munitions non explosées dans la zone indiquée. Danger : ne pas y entrer.",
        ru="В указанном районе находятся неразорвавшиеся боеприпасы. Опасно: в район не входить.",
        ar="توجد ذخائر غير منفجرة في المنطقة المحددة. خطر: يمنع الدخول إليها.",
    ),
    _entry(34, _DANGER, _TIME, needs=_AREA,
        en="We lost control of an unmanned aircraft in the stated area at {time}.",
        fr=(
            "Nous avons perdu le contrôle d'un aéronef sans équipage dans la zone indiquée, à "
            "{time}."
        ),
        ru="Мы потеряли управление беспилотным летательным аппаратом в указанном районе в {time}.",
        ar="فقدنا السيطرة على طائرة بدون طيار في المنطقة المحددة في الوقت {time}.",
    ),
    _entry(35, _DANGER, _TIME, needs=_AREA,
        en="Since {time} fire from your side has been landing in the stated area.",
        fr="Depuis {time}, des tirs venant de votre côté tombent dans la zone indiquée.",
        ru="С {time} указанный район находится под огнём с вашей стороны.",
        ar="منذ الوقت {time} تسقط نيران من جانبكم في المنطقة المحددة.",
    ),
    _entry(36, _DANGER, _DISTANCE, needs=_AREA,
        en="Danger in the stated area: please keep at a distance of at least {distance_m} metres.",
        fr=(
            "Danger dans la zone indiquée : veuillez rester à une distance d'au moins "
            "{distance_m} mètres."
        ),
        ru="Опасность в указанном районе: просим держаться на расстоянии не менее {distance_m} м.",
        ar="خطر في المنطقة المحددة. نرجو عدم الاقتراب منها. أقل مسافة آمنة بالأمتار: {distance_m}.",
    ),
    # 50-69: requests.
    _entry(50, (Kind.REQUEST,), needs=_AREA_AND_PERIOD,
        en="Please cease fire in the stated area during the stated period.",
        fr="Veuillez cesser le feu dans la zone indiquée, pendant la période indiquée.",
        ru="Просим прекратить огонь в указанном районе на указанный период.",
        ar="نرجو وقف إطلاق النار في المنطقة المحددة خلال الفترة المحددة.",
    ),
    _entry(51, (Kind.REQUEST,), _ORIGIN, _DESTINATION, needs=_PERIOD,
        en=(
            "Please keep a corridor open for medical evacuation from {origin} to {destination} "
            "during the stated period."
        ),
        fr=(
            "Veuillez laisser ouvert un couloir d'évacuation médicale de {origin} à "
            "{destination}, pendant la période indiquée."
        ),
        ru=(
            "Просим обеспечить открытый коридор для медицинской эвакуации из пункта {origin} в "
            "пункт {destination} в указанный период."
        ),
        ar="نرجو إبقاء ممر مفتوح للإخلاء الطبي من {origin} إلى {destination} خلال الفترة المحددة.",
    ),
    _entry(52, (Kind.REQUEST,), needs=_AREA_AND_PERIOD,
        en="Please stay clear of the stated area during the stated period.",
        fr="Veuillez rester à l'écart de la zone indiquée, pendant la période indiquée.",
        ru="Просим держаться в стороне от указанного района в указанный период.",
        ar="نرجو الابتعاد عن المنطقة المحددة خلال الفترة المحددة.",
    ),
    _entry(53, (Kind.REQUEST,), _TIME,
        en="Please join a conference call at {time}.",
        fr="Veuillez participer à une conférence téléphonique à {time}.",
        ru="Просим принять участие в телефонной конференции в {time}.",
        ar="نرجو المشاركة في مؤتمر هاتفي في الوقت {time}.",
    ),
    _entry(54, (Kind.REQUEST,), needs=_AREA,
        en="Please cease fire in the stated area immediately.",
        fr="Veuillez cesser immédiatement le feu dans la zone indiquée.",
        ru="Просим немедленно прекратить огонь в указанном районе.",
        ar="نرجو وقف إطلاق النار فورًا في المنطقة المحددة.",
    ),
    _entry(55, (Kind.REQUEST,), needs=_AREA_AND_PERIOD,
        en=(
            "Please allow us to recover the wounded and the dead from the stated area during the "
            "stated period."
        ),
        fr=(
            "Veuillez nous permettre d'évacuer les blessés et les morts de la zone indiquée, "
            "pendant la période indiquée."
        ),
        ru=(
            "Просим разрешить нам эвакуировать раненых и погибших из указанного района в "
            "указанный период."
        ),
        ar="نرجو السماح لنا بإجلاء الجرحى والقتلى من المنطقة المحددة خلال الفترة المحددة.",
    ),
    # 70-79: questions.
    _entry(70, (Kind.QUERY,), _TIME, needs=_AREA,
        en="Was the activity seen in the stated area at {time} yours?",
        fr="L'activité observée dans la zone indiquée à {time} était-elle la vôtre ?",
        ru="Ваша ли деятельность наблюдалась в указанном районе в {time}?",
        ar="هل النشاط الذي شوهد في المنطقة المحددة في الوقت {time} تابع لكم؟",
    ),
    _entry(71, (Kind.QUERY,), _UNIT, _PLACE,
        en="Please confirm the position: is your unit {unit} at {place}?",
        fr="Veuillez confirmer la position : votre unité {unit} est-elle à {place} ?",
        ru=(
            "Просим подтвердить местоположение: находится ли ваше подразделение {unit} в пункте "
            "{place}?"
        ),
        ar="نرجو تأكيد الموقع: هل وحدتكم {unit} موجودة في {place}؟",
    ),
    _entry(72, (Kind.QUERY,), needs=_AREA,
        en="Do you need help in the stated area?",
        fr="Avez-vous besoin d'aide dans la zone indiquée ?",
        ru="Нужна ли вам помощь в указанном районе?",
        ar="هل تحتاجون إلى مساعدة في المنطقة المحددة؟",
    ),
    _entry(73, (Kind.QUERY,), _TIME, needs=_AREA,
        en="Was there fire from your side in the stated area at {time}?",
        fr="Y a-t-il eu des tirs de votre côté dans la zone indiquée à {time} ?",
        ru="Вёлся ли огонь с вашей стороны в указанном районе в {time}?",
        ar="هل كان هناك إطلاق نار من جانبكم في المنطقة المحددة في الوقت {time}؟",
    ),
    # 80-89: assurances.
    _entry(80, (Kind.ASSURE,),
        en="Our present activity is not directed at you.",
        fr="Notre activité actuelle n'est pas dirigée contre vous.",
        ru="Наши текущие действия не направлены против вас.",
        ar="نشاطنا الحالي ليس موجهًا ضدكم.",
    ),
    _entry(81, (Kind.ASSURE,),
        en="Our present activity is an exercise only.",
        fr="Notre activité actuelle n'est qu'un exercice.",
        ru="Наши текущие действия являются только учениями.",
        ar="نشاطنا الحالي تمرين فقط.",
    ),
    _entry(82, (Kind.ASSURE,), needs=_AREA,
        en="We have no forces in the stated area.",
        fr="Nous n'avons aucune force dans la zone indiquée.",
        ru="В указанном районе наших сил нет.",
        ar="ليست لدينا قوات في المنطقة المحددة.",
    ),
    # 90-99: the declared state of the line.
    _entry(90, (Kind.LINE_STATE,),
        en="The line is open.",
        fr="La ligne est ouverte.",
        ru="Линия связи открыта.",
        ar="خط الاتصال مفتوح.",
    ),
    _entry(91, (Kind.LINE_STATE,),
        en="The line is suspended until further notice.",
        fr="La ligne est suspendue jusqu'à nouvel avis.",
        ru="Работа линии связи приостановлена до дальнейшего уведомления.",
        ar="خط الاتصال معلق حتى إشعار آخر.",
    ),
    _entry(92, (Kind.LINE_STATE,), _TIME,
        en="The line is suspended until {time}.",
        fr="La ligne est suspendue jusqu'à {time}.",
        ru="Работа линии связи приостановлена до {time}.",
        ar="خط الاتصال معلق حتى الوقت {time}.",
    ),
    _entry(93, (Kind.LINE_STATE,),
        en="The line is closed.",
        fr="La ligne est fermée.",
        ru="Линия связи закрыта.",
        ar="خط الاتصال مغلق.",
    ),
    _entry(94, (Kind.LINE_STATE,),
        en="MINIMIZE is in force: send only what cannot wait.",
        fr="MINIMIZE est en vigueur : n'envoyez que ce qui ne peut pas attendre.",
        ru="Введён режим MINIMIZE: передавайте только то, что не терпит отлагательства.",
        ar="تم تفعيل نظام MINIMIZE: لا ترسلوا إلا ما لا يحتمل التأجيل.",
    ),
    _entry(95, (Kind.LINE_STATE,),
        en="MINIMIZE is lifted.",
        fr="MINIMIZE est levé.",
        ru="Режим MINIMIZE отменён.",
        ar="تم رفع نظام MINIMIZE.",
    ),
    _entry(96, (Kind.LINE_STATE,), _PRECEDENCE,
        en="MINIMIZE is in force: send only {precedence} and faster.",
        fr="MINIMIZE est en vigueur : n'envoyez que {precedence} et plus rapide.",
        ru="Введён режим MINIMIZE: передавайте только {precedence} и срочнее.",
        ar="تم تفعيل نظام MINIMIZE: لا ترسلوا إلا {precedence} وما هو أسرع.",
    ),
    # 100-109: comm checks.
    _entry(100, (Kind.CHECK,), _CHALLENGE,
        en="Comm check. Please read back: {challenge}",
        fr="Contrôle de liaison. Veuillez répéter : {challenge}",
        ru="Проверка связи. Просим повторить: {challenge}",
        ar="اختبار الاتصال. نرجو إعادة قراءة ما يلي: {challenge}",
    ),
    # 110-119: the watch.
    _entry(110, (Kind.HANDOVER,), _OFFICER, _TIME,
        en="The watch changed at {time}. Duty officer now: {officer}",
        fr="Relève du quart à {time}. Officier de service : {officer}",
        ru="Смена дежурства произведена в {time}. Дежурный офицер: {officer}",
        ar="تم تبديل المناوبة في الوقت {time}. الضابط المناوب الآن: {officer}",
    ),
    _entry(111, (Kind.NOTIFY,), needs=_PERIOD,
        en="Our watch is not manned during the stated period.",
        fr="Notre poste de veille n'est pas tenu pendant la période indiquée.",
        ru="В указанный период наше дежурство не ведётся.",
        ar="لا يوجد مناوب لدينا خلال الفترة المحددة.",
    ),
    # 120-129: about the traffic itself.
    _entry(120, (Kind.SERVICE,), _SERIAL,
        en="Please repeat your notice with serial {serial}.",
        fr="Veuillez répéter votre avis numéro {serial}.",
        ru="Просим повторить ваше уведомление с номером {serial}.",
        ar="نرجو تكرار إشعاركم ذي الرقم {serial}.",
    ),
    _entry(121, (Kind.SERVICE,), _SERIAL,
        en="We did not understand your notice with serial {serial}. Please say it in other words.",
        fr="Nous n'avons pas compris votre avis numéro {serial}. Veuillez le formuler autrement.",
        ru="Мы не поняли ваше уведомление с номером {serial}. Просим изложить его иначе.",
        ar="لم نفهم إشعاركم ذا الرقم {serial}. نرجو صياغته بعبارات أخرى.",
    ),
)
# fmt: on
