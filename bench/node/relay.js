// The least a WebSocket relay can do: pass each frame on and answer its sender. It stores nothing.
// Path /ID names a connection; a frame is recipient u32 ‖ id 16 ‖ body; the sender gets the id back.
import { WebSocketServer } from "ws"

const peers = new Map()
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false })
server.on("connection", (socket, request) => {
  const id = Number(request.url.slice(1))
  peers.set(id, socket)
  socket.on("message", (data) => {
    if (data.length <= 20) return // an acknowledgement: nothing to delete
    socket.send(data.subarray(4, 20))
    peers.get(data.readUInt32BE(0))?.send(data)
  })
  socket.on("close", () => peers.delete(id))
})
