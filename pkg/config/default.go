package config

import (
	"fmt"
	"strings"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

// Default is the configuration of an empty file.
func Default() *Config {
	return &Config{
		Sources: Sources{Auto: true},
		Rules:   []string{Builtin, DefaultRules},
		Windows: []score.Window{
			{Name: "burst", Span: 600, Limit: 10},
			{Name: "day", Span: day, Limit: 30, Share: 500},
			{Name: "spray", Span: 3600, Limit: 60, Share: 800, Width4: 24, Width6: 56, Clients: 8},
		},
		Ban:    Ban{Time: 3600, Max: 7 * day, Memory: 30 * day, Parole: day},
		Cover4: cover.Options{Price: 128, Rungs: []cover.Rung{{Bits: 24, Need: 3}, {Bits: 22, Need: 9}}},
		Cover6: cover.Options{Price: 4096, Rungs: []cover.Rung{{Bits: 56, Need: 3}, {Bits: 48, Need: 20}}},
		Budget: 32768,
		Allow:  Allow{Files: []string{"/etc/postmoat/allow.d"}, Private: true},
		Doors: [maillog.NumDoors][]uint16{
			maillog.SMTP:  {25},
			maillog.Login: {465, 587, 110, 143, 993, 995, 4190},
		},
		Firewall: Firewall{Backend: "auto", Action: "drop"},
		Breaker:  Breaker{AddressesPerMinute: 100000, KnownGood: 3},
		State:    "/var/lib/postmoat",
		Control:  Control{Socket: "/run/postmoat/postmoat.sock", Group: "postmoat", Mode: 0o660},
		Clients:  1_000_000,
	}
}

// Defaults is the default configuration as a file, with what each key means.
func Defaults() string { return defaults }

const defaults = `# postmoat.yaml: everything here is the default; leave out what you do not change.

# Where lines come from: auto, or a list such as
#   - file: /var/log/mail.log
#     timezone: Europe/Vienna       # of stamps without a zone; the host's if left out
#   - journal: {slice: system-postfix.slice, identifiers: [dovecot]}
sources: auto

# Rules are read in this order; a later one replaces an earlier one of the same
# name. builtin is what postmoat ships. A folder is read in the order of names.
rules: [builtin, /etc/postmoat/rules.d]

# A window bans a client whose weights within its span reach the limit. With a
# share it does so only if offences are at least that part of offences and
# accepted messages, of which each counts once for each recipient. With a width
# it counts the clients of a network together, once so many of them took part.
# Setting any window replaces all of these.
windows:
  burst: {span: 10m, limit: 10}
  day:   {span: 24h, limit: 30, share: 0.5}
  spray: {span: 1h, limit: 60, share: 0.8, width: {ipv4: 24, ipv6: 56}, clients: 8}

# The first ban lasts time, each further one within memory twice as long, up to
# max. For parole after a ban a single offence brings it back.
ban: {time: 1h, max: 168h, memory: 30d, parole: 24h}

# When hosts of a network are banned as one: a rung {24: 3} says a /24 needs 3
# offenders at least; the price is how many addresses that did not offend one
# entry of the firewall is worth (IPv6: in /64). budget is the most entries.
collapse:
  ipv4: {price: 128, rungs: {24: 3, 22: 9}}
  ipv6: {price: 4096, rungs: {56: 3, 48: 20}}
  budget: 32768

# What is never banned, beside this host, its gateways, resolvers, relays and
# the peers of SSH sessions. Files and folders hold one prefix or name a line.
allow:
  networks: []                    # [192.0.2.0/24, 2001:db8::/32]
  files: [/etc/postmoat/allow.d]
  names: []                       # [mx.partner.example]
  private: true                   # private ranges are never banned

# The ports of each door. A single host that offends at one door is banned at
# both, a wider network only at the door where it offended.
doors:
  smtp: [25]
  login: [465, 587, 110, 143, 993, 995, 4190]

# backend: auto, nftables, iptables or pf; action: drop or reject.
firewall: {backend: auto, action: drop}

# Wide bans stop for a while when they take in more new addresses in a minute
# or more known-good clients than this.
breaker: {addresses-per-minute: 100000, known-good: 3}

# The folder of the snapshot.
state: /var/lib/postmoat

# Where the commands reach the daemon, and which group may use it; mode 0600
# keeps the group out.
control: {socket: /run/postmoat/postmoat.sock, group: postmoat, mode: 0660}

# Prometheus metrics, on a loopback address only, such as 127.0.0.1:9155.
metrics: {listen: ""}

# The most clients that are remembered at each door.
limits: {clients: 1000000}
`

// Never says why the configuration with these rules can ban nobody at all, or
// nobody of a family of addresses.
func (c *Config) Never(rules *rule.Set) []string {
	const never = "so nothing is an offence and nobody will ever be banned"
	var out []string
	switch idle := len(rules.Idle()); {
	case len(rules.Rules()) > 0:
	case idle > 0:
		out = append(out, c.warning("windows", "none of the %d shipped rules names one of these, %s: keep burst, day and spray, or write rules that name yours", idle, never))
	case len(c.Rules) == 0:
		out = append(out, c.warning("rules", "there are none, %s: write [builtin]", never))
	default:
		out = append(out, c.warning("rules", "none in them is in force, %s: write [builtin]", never))
	}
	for _, n := range c.Allow.Networks {
		if n.Prefix.Bits() == 0 {
			out = append(out, n.Pos.String()+": allow.networks: "+n.Prefix.String()+" is everybody: none of that family will ever be banned")
		}
	}
	return out
}

// Warnings say what is probably not meant: the configuration works, but does
// less with these rules than it seems to. They begin with those of Never.
func (c *Config) Warnings(rules *rule.Set) []string {
	out := c.Never(rules)
	if len(rules.Rules()) > 0 {
		if idle := rules.Idle(); len(idle) > 0 {
			out = append(out, c.warning("windows", "%d shipped rules are out, because none of their windows is configured: %s", len(idle), strings.Join(idle, ", ")))
		}
		for _, name := range rules.Unused() {
			out = append(out, c.warning("windows."+name, "no rule names it, so nothing ever counts there"))
		}
	}
	if !c.Allow.Private {
		out = append(out, c.warning("allow.private", "false: a host of your own network can be banned, a proxy or container gateway in front of Postfix too"))
	}
	for d, ports := range c.Doors {
		if len(ports) == 0 {
			out = append(out, c.warning("doors."+maillog.Door(d).String(), "has no ports: a network that offends there is not cut off from anything"))
		}
	}
	return out
}

// warning is about a key, and says where it stands if the file has it.
func (c *Config) warning(key, format string, args ...any) string {
	text := key + ": " + fmt.Sprintf(format, args...)
	if at, ok := c.At[key]; ok {
		text = at.String() + ": " + text
	}
	return text
}
