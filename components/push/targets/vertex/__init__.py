from components.push.targets.vertex.target import VertexTarget

TARGET = VertexTarget
