package privilege

import "fmt"

// A Cap is a capability of capabilities(7), by its number in the kernel.
type Cap uint8

// The capabilities that firewalls need.
const (
	NetAdmin Cap = 12 // nftables, ipset, iptables, sock_diag
	NetRaw   Cap = 13 // iptables: the set match, and all of the legacy variant
)

// maxCap is the highest number that a set of capabilities has room for.
const maxCap = 63

// String is the kernel's name of the capability: "CAP_NET_ADMIN".
func (c Cap) String() string {
	if int(c) < len(capNames) {
		return "CAP_" + capNames[c]
	}
	return fmt.Sprintf("capability %d", uint8(c))
}

// A capSet has one bit for each capability.
type capSet uint64

func setOf(caps []Cap) (s capSet) {
	for _, c := range caps {
		s |= 1 << c
	}
	return s
}

func (s capSet) has(c Cap) bool { return s&(1<<c) != 0 }

// list is in the order of the numbers.
func (s capSet) list() (all []Cap) {
	for c := Cap(0); c <= maxCap; c++ {
		if s.has(c) {
			all = append(all, c)
		}
	}
	return all
}

// capNames are those of linux/capability.h, up to Linux 6.18.
var capNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}
