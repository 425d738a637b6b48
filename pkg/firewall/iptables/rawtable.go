//go:build linux

package iptables

import (
	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nfFamily is the family in netlink.
func (f family) nfFamily() nftables.TableFamily {
	if f == ipv6 {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// tableExists says whether iptables-nft has made its table raw, which iptables
// itself does not tell.
func tableExists(f family) (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	tables, err := c.ListTablesOfFamily(f.nfFamily())
	for _, t := range tables {
		if t.Name == rawTable {
			return true, err
		}
	}
	return false, err
}

// removeTable takes away the empty table raw that iptables-nft makes and never
// removes. The kernel refuses when somebody else has put anything into it: then
// it stays, which is no error.
func (r *rules) removeTable() {
	if err := r.ipt.DeleteChain(rawTable, prerouting); err != nil {
		return
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return
	}
	defer c.Close()
	about := func(family byte, resource byte) []byte { return []byte{family, unix.NFNETLINK_V0, 0, resource} }
	message := func(typ int, flags netlink.HeaderFlags, data []byte) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request | flags}, Data: data}
	}
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_TABLE_NAME, Data: []byte(rawTable + "\x00")}})
	if err != nil {
		return
	}
	const nonRecursive = netlink.HeaderFlags(unix.NLM_F_NONREC)
	_, err = c.SendMessages([]netlink.Message{
		message(unix.NFNL_MSG_BATCH_BEGIN, 0, about(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)),
		message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE, netlink.Acknowledge|nonRecursive, append(about(byte(r.family.nfFamily()), 0), name...)),
		message(unix.NFNL_MSG_BATCH_END, 0, about(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)),
	})
	if err == nil {
		_, _ = c.Receive() // done, or refused
	}
}
