# For a host that runs WireGuard already: asks about every interface and every file of wg-quick, whatever their names.
# What is no name of an interface is left out.
w_names() { while read -r w_v; do case $w_v in '' | *[!a-zA-Z0-9_=+.-]*) ;; *) echo "$w_v" ;; esac; done; }
W_FILES=$(for w_v in /etc/wireguard/*.conf; do echo "${w_v##*/}"; done | w_names)
W_IFACES=$( { wg show interfaces 2>/dev/null | tr ' ' '\n'; for w_v in $W_FILES; do echo "${w_v%.conf}"; done; } | w_names | sort -u)
