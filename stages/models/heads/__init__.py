"""From a vector to scores: linear to kmeans_svm, behind one surface."""
