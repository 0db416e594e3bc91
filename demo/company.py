"""Who and what the demo company consists of: Tidewater Instruments, makers of buoys that measure water."""

from dataclasses import dataclass

ACCOUNT = "Tidewater Instruments"
PLAN = "professional"
DOMAIN = "tidewater.example"
TIME_ZONE = "Europe/Amsterdam"


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    address: str


PEOPLE = {
    "nora": Person("Nora Lindqvist", f"nora@{DOMAIN}"),
    "ben": Person("Ben Adeyemi", f"ben@{DOMAIN}"),
    "ines": Person("Ines Carvalho", f"ines@{DOMAIN}"),
    "support": Person("Tidewater Support", f"support@{DOMAIN}"),
    "marieke": Person("Marieke de Vries", "m.devries@rijnwater.example"),
    "joao": Person("João Teixeira", "joao.teixeira@aguas-do-norte.example"),
    "irina": Person("Ирина Соколова", "sokolova@vodokanal-sever.example"),
    "liwei": Person("李伟", "li.wei@haituo-motor.example"),
    "fatima": Person("فاطمة المنصوري", "f.almansoori@gulf-water.example"),
    "noa": Person("נועה ברק", "noa.barak@marine-lab.example"),
    "billing": Person("Havenbedrijf Maaskade, accounts", "accounts@maaskade.example"),
    "conference": Person("HydroSense 2027", "programme@hydrosense.example"),
    "emeka": Person("Emeka Okafor", "e.okafor@uniport.example"),
    "claire": Person("Claire Favre", "claire.favre@eaux-du-leman.example"),
    "joerg": Person("Jörg Müßig", "j.muessig@stadtwerke-koeln.example"),
    "haruka": Person("田中 遥", "tanaka@biwako-kankyo.example"),
    "sindre": Person("Sindre Hauge", "sindre@tromso-havn.example"),
    "petra": Person("Petra Nováková", "novakova@povodi.example"),
    "oskar": Person("Oskar Nyström", "oskar@vanern-vatten.example"),
    "giulia": Person("Giulia Ferri", "g.ferri@consorzio-laguna.example"),
    "kwame": Person("Kwame Mensah", "kwame.mensah@voltawater.example"),
    "leila": Person("Leila Haddad", "leila.haddad@nordlicht-magazin.example"),
    "landlord": Person("Van Dam Vastgoed", "verhuur@vandam.example"),
    "orders": Person("AccuNoord, orders", "orders@accunoord.example"),
    "tobi": Person("Tobi", "tobi.adeyemi@family.example"),
}

SIGNATURES = {
    "nora": "Nora Lindqvist\nManaging director, Tidewater Instruments\nMaaskade 118, Rotterdam",
    "ben": "Ben Adeyemi\nCustomers and support, Tidewater Instruments\n+31 10 555 0142",
    "ines": "Ines Carvalho\nEngineering, Tidewater Instruments\nWorkshop 4, Maaskade 118, Rotterdam",
}


@dataclass(frozen=True, slots=True)
class Employee:
    """`mailboxes` are owned; the first is the personal one."""

    key: str
    role: str
    department: str
    time_zone: str
    mailboxes: tuple[str, ...]

    @property
    def person(self) -> Person:
        return PEOPLE[self.key]


EMPLOYEES = (
    Employee("nora", "admin", "Management", "Europe/Amsterdam", ("nora",)),
    Employee("ben", "employee", "Customers and support", "Europe/Amsterdam", ("ben", "support")),
    Employee("ines", "employee", "Engineering", "Europe/Amsterdam", ("ines",)),
)


def mailbox_keys() -> list[str]:
    return [key for employee in EMPLOYEES for key in employee.mailboxes]


# mailbox, who else, level
GRANTS = (("support", "ines", "delete"), ("support", "nora", "read"))

# Folders beside INBOX and those of the server, in the order in which they are made.
FOLDERS = {
    "nora": ("Contracts", "Press", "Newsletters"),
    "ben": (
        "Customers",
        "Customers/Rijnwater",
        "Customers/Águas do Norte",
        "Customers/Водоканал-Север",
        "Invoices",
        "Newsletters",
    ),
    "ines": ("Projects", "Projects/Firmware", "Suppliers", "Suppliers/深圳海拓", "Travel"),
    "support": ("Solved", "Waiting for customer"),
}
# Where a person files letters of a sender once they are older than a fortnight or so.
FILED = {
    ("ben", "m.devries@rijnwater.example"): "Customers/Rijnwater",
    ("ben", "joao.teixeira@aguas-do-norte.example"): "Customers/Águas do Norte",
    ("ben", "sokolova@vodokanal-sever.example"): "Customers/Водоканал-Север",
    ("ben", "accounts@maaskade.example"): "Invoices",
    ("ben", "invoices@cloudhafen.example"): "Invoices",
    ("ben", "rechnung@prueflabor-west.example"): "Invoices",
    ("ines", "li.wei@haituo-motor.example"): "Suppliers/深圳海拓",
    ("ines", "tickets@euroline.example"): "Travel",
    ("ines", "programme@hydrosense.example"): "Travel",
    ("nora", "verhuur@vandam.example"): "Contracts",
    ("nora", "leila.haddad@nordlicht-magazin.example"): "Press",
    ("nora", "letter@the-estuary.example"): "Newsletters",
    ("ben", "letter@the-estuary.example"): "Newsletters",
    ("ben", "news@workbench-weekly.example"): "Newsletters",
}
FILED_AFTER_DAYS = 9
