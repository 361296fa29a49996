import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.ServerVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** mongo-java-server on 127.0.0.1, claiming the wire version that the drivers of today ask for: `Launcher PORT`. */
public final class Launcher {
    /** MongoDB 5.0 speaks 13; the library says 8 (MongoDB 4.2), which driver 7 for Node refuses. */
    private static final int WIRE_VERSION = 13;

    private static final MongoVersion VERSION = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return ServerVersion.MONGO_5_0.getVersionArray();
        }

        @Override
        public int getWireVersion() {
            return WIRE_VERSION;
        }
    };

    public static void main(String[] args) {
        MemoryBackend backend = new MemoryBackend();
        backend.version(VERSION);
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
    }
}
