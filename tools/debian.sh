#!/bin/sh
# Installs the Debian packages that the tests need and that are missing: tools/debian.sh
# As root, or by sudo where that asks for no password; otherwise it names them and fails.
set -eu
packages="mosquitto mosquitto-clients chromium fonts-noto-cjk docker-compose strace hledger"
# dpkg looks for its own programs there; a user's PATH may end before.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

command -v dpkg-query >/dev/null 2>&1 || {
    echo "测试需要 Debian 或 Ubuntu，以及这些软件包：$packages  |  The tests need Debian or Ubuntu, with these packages: $packages" >&2
    exit 1
}
missing=
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=env
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    echo "缺少测试所需的软件包，而这里不能安装；请由管理员执行：apt-get install --no-install-recommends$missing  |  Packages that the tests need are missing, and may not be installed from here; ask an administrator to run: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "安装 Debian 软件包：$missing …  |  Installing Debian packages:$missing …"
# The tests start their own Mosquitto: Debian's service is neither started now nor at the next boot.
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
added=
if [ ! -e "$policy" ]; then
    added=yes
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
apt_get() {
    # Another apt at work (a daily timer) is waited for.
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null || {
        echo "安装失败，原因见上；排除后重试。  |  Installing failed for the reason above; put it right and try again." >&2
        exit 1
    }
}
apt_get update
# shellcheck disable=SC2086 (a list of names)
apt_get install --yes --no-install-recommends $missing
case " $missing " in
*" mosquitto "*) $as_root update-rc.d mosquitto disable >/dev/null 2>&1 || echo "Mosquitto 的系统服务未能停用；若不需要，请执行 systemctl disable mosquitto  |  Mosquitto's service is still enabled; if you do not want it: systemctl disable mosquitto" ;;
esac
[ -z "$added" ] || $as_root rm -f "$policy"
