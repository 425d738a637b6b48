//go:build linux

package iptables

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/postmoat/postmoat/pkg/firewall"
)

const name = "iptables"

const (
	hintCaps   = "Needs CAP_NET_ADMIN and CAP_NET_RAW: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW."
	hintRaw    = "Rules that look up sets need CAP_NET_RAW beside CAP_NET_ADMIN: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW."
	hintLock   = "The legacy iptables must write /run/xtables.lock: run as root, set XTABLES_LOCKFILE for all that use it, or use iptables-nft."
	hintIpset  = "Load the kernel modules ip_set and ip_set_hash_net (modprobe ip_set_hash_net), or use backend: nftables."
	hintXt     = "Load the kernel modules xt_set and xt_multiport (modprobe xt_set), or use backend: nftables."
	hintTable  = "The kernel has no table raw for this iptables: modprobe iptable_raw (ip6table_raw), or use the other variant, or backend: nftables."
	hintMemory = "The kernel has no memory for more entries (about 70 bytes each): lower collapse.budget."
	hintGone   = "Somebody removed it: set it up again."
	hintNative = "Others keep rules in table raw that iptables cannot show: use backend: nftables."
)

// meanings are what programs say and what that means. They speak English
// whatever the locale. The first that fits counts.
var meanings = []struct {
	text string
	kind error
	hint string
}{
	{"can't open lock file", firewall.ErrNotPermitted, hintLock},
	{"Can't open socket to ipset", firewall.ErrNotPermitted, hintRaw},
	{"Operation not permitted", firewall.ErrNotPermitted, hintCaps},
	{"Permission denied", firewall.ErrNotPermitted, hintCaps},
	{"you must be root", firewall.ErrNotPermitted, hintCaps},
	{"Cannot open session to kernel", firewall.ErrMissingModule, hintIpset},
	{"set type not supported", firewall.ErrMissingModule, hintIpset},
	{"Kernel support protocol", firewall.ErrMissingModule, hintIpset},
	{"Kernel and userspace incompatible", firewall.ErrMissingModule, hintIpset},
	{"typename 'hash:net' is unknown", firewall.ErrMissingModule, hintIpset},
	{"Couldn't load match", firewall.ErrMissingModule, hintXt},
	{"missing kernel module", firewall.ErrMissingModule, hintXt},
	{"No chain/target/match by that name", firewall.ErrMissingModule, hintXt},
	{"RULE_INSERT failed (No such file or directory)", firewall.ErrMissingModule, hintXt},
	{"RULE_APPEND failed (No such file or directory)", firewall.ErrMissingModule, hintXt},
	{"do you need to insmod", firewall.ErrMissingModule, hintTable},
	{"Table does not exist", firewall.ErrMissingModule, hintTable},
	{"Protocol not supported", firewall.ErrMissingModule, hintTable},
	{"Address family not supported", firewall.ErrMissingModule, hintTable},
	{"Failed to initialize nft", firewall.ErrMissingModule, hintTable},
	{"is incompatible, use 'nft' tool", firewall.ErrUnsupported, hintNative},
	{"Hash is full", firewall.ErrSetFull, hintMemory},
	{"Cannot allocate memory", firewall.ErrSetFull, hintMemory},
	{"does not exist", firewall.ErrGone, hintGone},
	{"doesn't exist", firewall.ErrGone, hintGone},
}

// explain makes an error that an operator can act on of what a program said.
func explain(op string, err error) error { return firewall.Explain(name, op, err, meaning) }

func meaning(err error) (hint string, kind error) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "Install the packages iptables and ipset, or use backend: nftables.", firewall.ErrMissingProgram
	case errors.Is(err, context.DeadlineExceeded):
		return "A program did not end in time: read back what is there and repair it; if it happens again, the machine is overloaded.", firewall.ErrUncertain
	}
	text := err.Error()
	for _, m := range meanings {
		if strings.Contains(text, m.text) {
			return m.hint, m.kind
		}
	}
	return "", nil
}
