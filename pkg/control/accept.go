package control

import (
	"net"
	"sync"
)

// A gate lets in so many connections at a time, and looks who comes.
type gate struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newGate(l net.Listener, places int) *gate {
	return &gate{Listener: l, places: make(chan struct{}, places), closed: make(chan struct{})}
}

// Accept waits for a place, then for a connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.places <- struct{}{}:
	case <-g.closed:
		return nil, net.ErrClosed
	}
	c, err := g.Listener.Accept()
	if err != nil {
		<-g.places
		return nil, err
	}
	return &visitor{Conn: c, peer: lookAt(c), leave: sync.OnceFunc(func() { <-g.places })}, nil
}

// Close ends Accept too where it waits for a place.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// A visitor is a connection with who opened it.
type visitor struct {
	net.Conn
	peer  peer
	leave func()
}

// Close gives the place up.
func (v *visitor) Close() error {
	defer v.leave()
	return v.Conn.Close()
}

// lookAt asks the kernel who opened a connection. One over TCP is nobody's.
func lookAt(c net.Conn) (p peer) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return p
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return p
	}
	var asked error
	err = raw.Control(func(fd uintptr) { p, asked = peerOf(int(fd)) })
	if err != nil || asked != nil {
		return peer{}
	}
	return p
}
