"""Makes the secrets that docker-compose.yml hands to its services; what is there already stays.

    .venv/bin/python deploy/prepare.py estate --estate pengjiang-1 --host 192.168.1.10
    .venv/bin/python deploy/prepare.py city --host city.example

Run it on a trusted machine, then carry `deploy/secrets/estate` or `deploy/secrets/city` to the box.
To change a password, delete its file and run it again; the README here says what is told to whom.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from estate.config import SettingsError, read_toml
from estate.embedded.authority import issue
from estate.embedded.broker_users import SALT_BYTES, BrokerUser, acl_file, hash_password
from estate.embedded.estate_users import PROTOCOLS, DoorEntry, device_user, gateway_user
from estate.embedded.places import put_file

ROOT = Path(__file__).resolve().parents[1]
# The numbers of the users that the containers run as; their secrets are readable for them alone.
MOSQUITTO, SMART_ESTATE = 1883, 999
HEALTH = "health"


def random_text() -> str:
    """A new password."""
    return secrets.token_urlsafe(32)


def random_key() -> str:
    """32 bytes as base64."""
    return base64.b64encode(os.urandom(32)).decode()


class Secrets:
    """One folder of secrets."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        put_file(folder / ".gitignore", b"*\n", 0o644)
        self.folder = folder

    def keep(self, name: str, make: Callable[[], str] = random_text) -> str:
        """The secret of that name, made if there is none."""
        file = self.folder / name
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            self.put(name, make() + "\n")
        return file.read_text(encoding="utf-8").strip()

    def put(self, name: str, text: str) -> None:
        """Write a file that follows from others."""
        put_file(self.folder / name, text.encode(), 0o400)

    def certificate(self, name: str, hosts: Sequence[str]) -> None:
        """A certificate `name`.crt and its key, of this folder's own authority."""
        issue(self.folder, name, hosts)

    def belong(self, owner: int, *names: str) -> None:
        """Let the container's user, and no other, read these."""
        for name in names:
            if os.geteuid() == 0:
                os.chown(self.folder / name, owner, owner)
            else:
                print(f"sudo chown {owner}:{owner} '{self.folder / name}'")


def prepare_estate(folder: Secrets, estate: str, hosts: Sequence[str], config: Path) -> list[str]:
    """An estate's box: the broker's certificate, users and rights, the gateway's secrets.

    Returns:
        The files that come from elsewhere and are not there yet.
    """
    doors = doors_of(estate, config)
    folder.certificate("broker", ["localhost", "127.0.0.1", "mosquitto", *hosts])
    folder.certificate("kiosk", ["localhost", "127.0.0.1", *hosts])
    folder.certificate("panels", ["localhost", "127.0.0.1", *hosts])
    users = [
        gateway_user(f"gateway-{estate}", folder.keep("gateway_broker_password"), [estate], doors),
        BrokerUser(HEALTH, folder.keep("broker_health_password"), reads=("$SYS/broker/uptime",)),
    ]
    for door in doors:
        password = folder.keep(f"devices/{door.device}")
        if door.protocol in PROTOCOLS:
            users.append(device_user(door, password))
        else:
            print(
                f"请手工加入代理用户  |  add this user of the broker by hand: {door.device} ({door.protocol})"
            )
    hashes = [f"{user.name}:{hash_password(user.password, os.urandom(SALT_BYTES))}\n" for user in users]
    folder.put("broker_passwords", "".join(hashes))
    folder.put("broker_rights", acl_file(users))
    # What mosquitto_sub reads in the broker's health check.
    options = ["-h localhost", "-p 8883", "--cafile /run/secrets/authority", f"-u {HEALTH}"]
    folder.put("broker_health", "\n".join([*options, f"-P {users[1].password}", ""]))
    folder.keep("vault_key", random_key)
    folder.belong(MOSQUITTO, "broker.key", "broker_passwords", "broker_rights", "broker_health")
    folder.belong(SMART_ESTATE, "gateway_broker_password", "vault_key", "kiosk.key", "panels.key")
    return missing(folder, "backend_credential", "backend_authority.crt")


def prepare_city(folder: Secrets, hosts: Sequence[str]) -> list[str]:
    """The city's machine: the backend's certificate and keys, the database's passwords.

    Returns:
        The files that come from elsewhere and are not there yet.
    """
    folder.certificate("backend", ["localhost", "127.0.0.1", "backend", *hosts])
    own = ["postgres_superuser", "estate_owner", "estate_app", "estate_reader", "session_key"]
    for name in own:
        folder.keep(name)
    folder.keep("master_key", random_key)
    folder.belong(SMART_ESTATE, "backend.key", "master_key", *own)
    return missing(folder, "stripe_api_key", "stripe_webhook_secret")


def doors_of(estate: str, config: Path) -> list[DoorEntry]:
    """That estate's doors.

    Raises:
        SettingsError: there is no such estate.
    """
    for entry in read_toml(config).get("estate", []):
        if entry.get("id") == estate:
            doors = entry.get("door", [])
            return [DoorEntry(estate, door["id"], door.get("protocol", "native")) for door in doors]
    raise SettingsError(str(config), "estate.id", f"没有小区 {estate} (there is no such estate)")


def missing(folder: Secrets, *names: str) -> list[str]:
    """Those of the files that somebody has to bring."""
    return [name for name in names if not (folder.folder / name).exists()]


def main() -> int:
    """Read the arguments, make the files, say what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("side", choices=["estate", "city"])
    parser.add_argument("--estate", help="小区 id  |  the estate's id in config/estates.toml")
    parser.add_argument("--host", action="append", default=[], help="设备或浏览器用的地址  |  address in use")
    parser.add_argument("--folder", type=Path, default=ROOT / "deploy" / "secrets")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "estates.toml")
    given = parser.parse_args()
    folder = Secrets(given.folder / given.side)
    try:
        if given.side == "city":
            left = prepare_city(folder, given.host)
        elif given.estate:
            left = prepare_estate(folder, given.estate, given.host, given.config)
        else:
            parser.error("--estate 缺少小区 id  |  --estate is needed")
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"{error.filename} 已属容器的用户，请用 sudo 再运行  |  "
            f"{error.filename} belongs to a container's user by now: run this again with sudo",
            file=sys.stderr,
        )
        return 1
    print(f"密钥在 {folder.folder}  |  the secrets are in {folder.folder}")
    for name in left:
        print(f"还需放入（见 deploy/README.md）  |  still to be placed (see deploy/README.md): {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
