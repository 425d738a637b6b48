//go:build linux

package nftables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// watchBuffer is how many bytes of notices may wait before the kernel gives up
// on us and says so.
const watchBuffer = 8 << 20

// maxWhat bounds what one event lists.
const maxWhat = 8

// Watch listens to the kernel's notices. Each commit is one event, when it
// touches our table and is not our own. When notices were lost (a burst of
// somebody's) it goes on and says so. It holds one goroutine: the caller's.
func (b *Backend) Watch(ctx context.Context, f func(firewall.Event)) error {
	for lost := false; ; lost = true {
		c, err := b.subscribe()
		if err != nil {
			return explain("watch", err)
		}
		f(firewall.Event{Started: true, Lost: lost})
		stop := context.AfterFunc(ctx, func() { c.Close() })
		err = b.listen(c, f)
		if !stop() {
			return nil // ctx has ended, and c is closed
		}
		c.Close()
		if !errors.Is(err, unix.ENOBUFS) {
			return explain("watch", err)
		}
	}
}

func (b *Backend) subscribe() (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: dumpSize})
	if err != nil {
		return nil, err
	}
	err = errors.Join(c.SetReadBuffer(watchBuffer), b.skipOwn(c), c.JoinGroup(unix.NFNLGRP_NFTABLES))
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// skipOwn keeps the notices of our own large changes from filling the buffer:
// a filter in the kernel leaves out what comes from the port of our socket.
func (b *Backend) skipOwn(c *netlink.Conn) error {
	b.mu.Lock()
	err := b.open()
	var port uint32
	if err == nil {
		port = b.sock.port
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	// The filter loads big endian, the header is in the host's order.
	swapped := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, port))
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4}, // nlmsg_pid
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped, SkipTrue: 1},
		bpf.RetConstant{Val: 1<<32 - 1},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	return c.SetBPF(filter)
}

// listen reads notices until an error. Those of one commit come together and
// are followed by that of the new generation, which says who it was.
func (b *Backend) listen(c *netlink.Conn, f func(firewall.Event)) error {
	var what []string
	for {
		messages, err := c.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < familyLen {
				continue
			}
			ours := b.ports.ours(m.Header.PID)
			if kind := uint16(m.Header.Type & 0xff); kind != unix.NFT_MSG_NEWGEN {
				if !ours {
					what = b.note(what, kind, m.Data)
				}
				continue
			}
			if !ours {
				b.foreign(m.Data[familyLen:], what, f)
			}
			what = nil
		}
	}
}

// note adds what a notice says, if it is about our table.
func (b *Backend) note(what []string, kind uint16, data []byte) []string {
	attrs := data[familyLen:]
	// The table is attribute 1 of them all.
	if data[0] != unix.NFPROTO_INET || text(attribute(attrs, unix.NFTA_TABLE_NAME)) != b.layout.table.Name {
		return what
	}
	line := describe(kind, attrs)
	if line == "" {
		line = b.title()
		switch kind {
		case unix.NFT_MSG_NEWTABLE:
			line = "change " + line
		case unix.NFT_MSG_DELTABLE:
			// With the table goes everything else, which need not be told.
			return []string{"delete " + line}
		default:
			line = fmt.Sprintf("message %d about %s", kind, line)
		}
	}
	if len(what) >= maxWhat || slices.Contains(what, line) {
		return what
	}
	return append(what, line)
}

// describe puts a notice about a part of the table into words.
func describe(kind uint16, attrs []byte) string {
	second := text(attribute(attrs, 2)) // the name of a chain's rule, of a set
	switch kind {
	case unix.NFT_MSG_NEWCHAIN:
		return "add chain " + text(attribute(attrs, unix.NFTA_CHAIN_NAME))
	case unix.NFT_MSG_DELCHAIN:
		return "delete chain " + text(attribute(attrs, unix.NFTA_CHAIN_NAME))
	case unix.NFT_MSG_NEWRULE:
		return "add rule to chain " + second
	case unix.NFT_MSG_DELRULE:
		return "delete rule of chain " + second
	case unix.NFT_MSG_NEWSET:
		return "add set " + second
	case unix.NFT_MSG_DELSET:
		return "delete set " + second
	case unix.NFT_MSG_NEWSETELEM:
		return "add elements to set " + second
	case unix.NFT_MSG_DELSETELEM:
		return "delete elements of set " + second
	}
	return ""
}

// foreign ends a commit of somebody else. One that did not touch our table
// takes nothing from what we know.
func (b *Backend) foreign(gen []byte, what []string, f func(firewall.Event)) {
	if len(what) == 0 {
		id := uint32(number(attribute(gen, unix.NFTA_GEN_ID)))
		b.mu.Lock()
		if id == after(b.shape) {
			b.shape = id
		}
		if id == after(b.contents) {
			b.contents = id
		}
		b.mu.Unlock()
		return
	}
	f(firewall.Event{
		What:    what,
		Program: text(attribute(gen, unix.NFTA_GEN_PROC_NAME)),
		PID:     int(number(attribute(gen, unix.NFTA_GEN_PROC_PID))),
	})
}
