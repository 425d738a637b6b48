package sever

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The wire format of linux/inet_diag.h.
const (
	sizeID      = 48             // struct inet_diag_sockid
	sizeMessage = 4 + sizeID     // what we need of struct inet_diag_msg
	sizeRequest = 4 + 4 + sizeID // struct inet_diag_req_v2
	attrFilter  = 1              // INET_DIAG_REQ_BYTECODE
)

// heldStates are the states in which a process may hold the socket, one bit
// each. SYN_RECV stands for NEW_SYN_RECV too.
const heldStates = 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_SYN_SENT | 1<<unix.BPF_TCP_SYN_RECV |
	1<<unix.BPF_TCP_FIN_WAIT1 | 1<<unix.BPF_TCP_FIN_WAIT2 | 1<<unix.BPF_TCP_CLOSE_WAIT |
	1<<unix.BPF_TCP_LAST_ACK | 1<<unix.BPF_TCP_CLOSING

// A sockID names one socket as the kernel does, its cookie included: so that
// never another one is hit that has come to the same addresses and ports.
type sockID struct {
	family uint8
	wire   [sizeID]byte // ports, addresses, interface, cookie
}

func (id sockID) localPort() uint16 { return binary.BigEndian.Uint16(id.wire[:]) }

// remote is the address of the client, IPv4-mapped ones unmapped.
func (id sockID) remote() netip.Addr {
	dst := id.wire[20:36]
	if id.family == unix.AF_INET {
		dst = dst[:4]
	}
	a, _ := netip.AddrFromSlice(dst)
	return a.Unmap()
}

// request is a struct inet_diag_req_v2 about TCP sockets.
func request(id sockID, states uint32) []byte {
	b := make([]byte, 0, sizeRequest)
	b = append(b, id.family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, id.wire[:]...)
}

// dump lists the sockets of a family that some process may hold. A filter
// (portFilter) spares the rest the way to us.
func dump(c *netlink.Conn, family uint8, filter []byte) iter.Seq2[sockID, error] {
	return func(yield func(sockID, error) bool) {
		data := request(sockID{family: family}, heldStates)
		if len(filter) > 0 {
			data = binary.NativeEndian.AppendUint16(data, uint16(4+len(filter)))
			data = binary.NativeEndian.AppendUint16(data, attrFilter)
			data = append(data, filter...)
		}
		header := netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}
		if _, err := c.Send(netlink.Message{Header: header, Data: data}); err != nil {
			yield(sockID{}, err)
			return
		}
		for m, err := range c.ReceiveIter() {
			var id sockID
			if err == nil {
				id, err = parse(m.Data)
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// parse reads the start of a struct inet_diag_msg.
func parse(b []byte) (sockID, error) {
	if len(b) < sizeMessage {
		return sockID{}, fmt.Errorf("%d bytes are no socket", len(b))
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return sockID{}, fmt.Errorf("socket of family %d", b[0])
	}
	id := sockID{family: b[0]}
	copy(id.wire[:], b[4:])
	return id, nil
}

// destroy aborts one socket: its process gets ECONNABORTED, its peer a reset.
func destroy(c *netlink.Conn, id sockID) error {
	header := netlink.Header{Type: unix.SOCK_DESTROY, Flags: netlink.Request | netlink.Acknowledge}
	_, err := c.Execute(netlink.Message{Header: header, Data: request(id, heldStates)})
	return err
}

// probe tries what Sever needs, on no socket at all. The kernel asks for the
// capability only when there is something to destroy, so we look ourselves.
func probe() error {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	// A socket without ports and cookie: there is none (ENOENT), but a kernel
	// that cannot destroy says so first. ENOENT is also the answer where all
	// of tcp_diag is missing; the listing tells the two apart.
	for _, err := range dump(c, unix.AF_INET, portFilter([]uint16{0})) {
		if err != nil {
			return err
		}
	}
	if err := destroy(c, sockID{family: unix.AF_INET}); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return unix.EPERM
	}
	return nil
}
